# Sourced by the scripts beside it: the root, the target directory, headings, mutations and a copy of the tree for them.

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

# Sets `patches` to those in $1 whose names contain $2; ends if there are none.
find_patches() {
    patches=("$root/$1/"*"$2"*.patch)
    if [[ ! -e ${patches[0]} ]]; then
        echo "no patch matches '$2' in $1"
        exit 1
    fi
}

# Copies the tree, as git knows it, to $1/tree, for this process alone until it ends, and has cargo build it in $1/target.
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
    # Never another step's: cargo names artefacts by their place within the workspace, so the copy's would pass for its own,
    # and the next such step would run the last mutation.
    export CARGO_TARGET_DIR=$work/target
    export RUST_BACKTRACE=0
    unset RUSTFLAGS
}
