# Sourced by the scripts beside it: the root, the target directory, headings.

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
