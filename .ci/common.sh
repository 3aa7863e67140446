# Sourced by the scripts beside it: the root, the target directory, headings, a copy of the tree for mutations.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Absolute, because some steps change directory.
target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$root/$target

heading() {
    printf '\n== %s\n' "$*"
}

# Succeeds if nightly is installed. Otherwise says that the caller's check is skipped, which is an error under CI.
have_nightly() {
    if rustc +nightly --version 2>/dev/null; then
        return
    fi
    echo "SKIPPED: $1 needs a nightly toolchain, and \`rustc +nightly --version\` fails here."
    echo "Install one with \`rustup toolchain install nightly --profile minimal\`."
    if [[ -n ${CI:-} ]]; then
        echo "CI is set, so skipping is a failure."
        exit 1
    fi
    exit 0
}

# Copies the tree, as git knows it, to $1/tree, for this process alone until it ends.
copy_tree() {
    local work=$1
    mkdir -p "$work"
    exec 9>"$work/lock"
    flock 9
    rm -rf "$work/tree"
    mkdir "$work/tree"
    # `-m`: files get the present time. An old time under artefacts of a mutated build would pass for fresh.
    git ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do
            if [[ -f $file ]]; then printf '%s\0' "$file"; fi
        done |
        tar -c --null -T - | tar -xm -C "$work/tree"
    # The copy lies inside this repository: without the ceiling git would take paths from the outer root, and skip them all.
    export GIT_CEILING_DIRECTORIES=$work
}
