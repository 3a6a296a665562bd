# ready DIR PURPOSE: the virtual environment of the clone in DIR holds what PURPOSE (run, test, lint) needs.
# Done once for each content of pyproject.toml and each interpreter; a line of progress on standard error while it works.

find_python() {
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  echo "error: no Python >= 3.11 found" >&2
  echo "    install one (https://www.python.org/downloads/), or name it: PYTHON=/path/to/python3.12 ./aic ..." >&2
  return 1
}

ready() {
  directory=$1 purpose=$2
  case $purpose in
    run) groups="" ;;
    test) groups="--group test" ;;
    lint) groups="--group test --group browser --group lint --group bench" ;;
  esac
  stamp="$directory/.venv/.ready-$purpose"
  wanted=$(cksum <"$directory/pyproject.toml")
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && [ -x "$directory/.venv/bin/python" ] && return 0
  install "$directory" "$groups" || {
    echo "error: the installation did not finish; what went wrong stands above. Nothing is half done: run the command again." >&2
    exit 1
  }
  printf '%s' "$wanted" >"$stamp"
}

# An `if` around the call switches `set -e` off in here: every step says `|| return 1` itself.
install() {
  directory=$1 groups=$2
  python=$(find_python) || return 1
  echo "Preparing .venv (once; about 75 MB to download) ..." >&2
  uv=$(command -v uv || echo "$directory/.venv/bin/uv")
  if [ ! -x "$directory/.venv/bin/python" ]; then
    if command -v uv >/dev/null 2>&1; then
      uv venv --quiet --clear --python "$python" "$directory/.venv" || return 1
    else
      "$python" -m venv --clear "$directory/.venv" || return 1
    fi
  fi
  if [ ! -x "$uv" ]; then
    "$directory/.venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv>=0.5" || return 1
  fi
  # shellcheck disable=SC2086  # the groups are several words
  (cd "$directory" && "$uv" pip install --quiet --compile-bytecode --python .venv/bin/python --editable . $groups) || return 1
  echo "Ready." >&2
}
