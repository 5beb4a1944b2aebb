# The closing lines of a run: from the output of test binaries, what failed, where its logs are, and the sums.
#
#   awk -v skipped=FILE -f scripts/test-closing.awk LOG
#
# FILE has a line `NEED: TEST` for each test that was skipped for want of something, such as root (harness::skip). Such a
# test has passed for its binary; here it has not. Ends with 1 if a test failed or a binary gave no result.

# A binary that crashes has no result.
/^     Running / || /^   Doc-tests / { unfinished(); binary = $NF; open = 1 }

/^test result: / {
    open = 0
    passed += $4; failed += $6; ignored += $8
}

/^test .* \.\.\. FAILED$/ { print "failed: " $2 " " binary }
/^logs kept in / || /; logs kept in / {
    sub(/.*logs kept in /, "")
    if (!($0 in places)) { places[$0] = 1; order[++count] = $0 }
}

END {
    unfinished()
    for (i = 1; i <= count; i++) print "logs kept in " order[i]
    while (skipped != "" && (getline line < skipped) > 0) {
        split(line, part, ": ")
        if (!(part[1] in needs)) names[++kinds] = part[1]
        needs[part[1]]++; passed--
    }
    closing = passed + 0 " passed, " failed + 0 " failed"
    if (crashed) closing = closing ", no result from " crashed " binaries"
    if (ignored) closing = closing ", " ignored " ignored"
    for (i = 1; i <= kinds; i++) closing = closing ", " needs[names[i]] " skipped: need " names[i]
    if (!kinds) closing = closing ", 0 skipped"
    print closing
    exit (failed || crashed) ? 1 : 0
}

function unfinished() {
    if (open) { crashed++; print "no result: " binary }
    open = 0
}
