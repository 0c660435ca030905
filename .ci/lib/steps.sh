# Steps with a name, a time and a result; sourced by `.ci/run`.

step_names=()
step_results=()
step_seconds=()

# step NAME COMMAND…: runs the command, a function or a program, in a subshell that ends at its first failure.
# Its output is kept in `$CI_WORK_DIR/NAME.log`. Notes the result and goes on either way.
# Never call it in a condition: there Bash ignores `set -e` in all of it.
step() {
    local name=$1 started=$SECONDS status log
    shift
    log=$CI_WORK_DIR/$name.log
    printf '\n=== %s: %s\n' "$name" "$*"
    set +e
    (
        set -e
        "$@"
    ) 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    step_names+=("$name")
    step_seconds+=($((SECONDS - started)))
    if ((status == 0)); then
        step_results+=(ok)
    else
        step_results+=("FAILED ($status)")
    fi
    printf '=== %s: %s after %d s\n' "$name" "${step_results[-1]}" "${step_seconds[-1]}"
}

# Whether the latest step went well.
step_was_ok() {
    [[ ${step_results[-1]} == ok ]]
}

# Prints a table of all steps; its status says whether all went well.
summary() {
    local at failed=0
    for at in "${!step_names[@]}"; do
        [[ ${step_results[at]} == ok ]] && continue
        printf '\n=== what %s said last, and where it speaks of errors\n' "${step_names[at]}"
        grep -n -i -E 'error|fail|panick|differ' "$CI_WORK_DIR/${step_names[at]}.log" | head -n 40 || true
        tail -n 40 "$CI_WORK_DIR/${step_names[at]}.log"
    done
    printf '\n%-14s %-14s %s\n' step result seconds
    for at in "${!step_names[@]}"; do
        printf '%-14s %-14s %7d\n' "${step_names[at]}" "${step_results[at]}" "${step_seconds[at]}"
        [[ ${step_results[at]} == ok ]] || failed=$((failed + 1))
    done
    printf '%d steps, %d failed, %d s in all\n' "${#step_names[@]}" "$failed" "$SECONDS"
    ((failed == 0))
}
