# Reads `go test -v` and shows one line for a package that passes and everything that one that fails has said.
# A skipped test is shown and fails the run: a test that does not run proves nothing.

function show(line) { print line; fflush() }

/^(ok  |FAIL|\?   )\t/ {
	if ($1 == "FAIL" || skips) printf "%s", said
	if ($1 != "?") show($0)
	skipped += skips
	said = ""; skips = 0; inside = 0
	next
}

/^=== RUN /     { inside = 1 }
/^ *--- SKIP: / { skips++ }

# Outside of tests it is the compiler that speaks.
inside { said = said $0 "\n"; next }
/[^ \t]/ { show($0) }

END {
	printf "%s", said
	if (skipped += skips) { print "FAIL: skipped tests: " skipped; exit 1 }
}
