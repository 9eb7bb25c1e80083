# Reads `go test -v` and shows one line for a package that passes and everything that one that fails has said.
# A skipped test is shown and fails the run: a test that does not run proves nothing.

function show(line) { print line; fflush() }

/^ *--- SKIP: / { skipped++; show($0) }
/^=== RUN /     { inside = 1 }

/^(ok|FAIL|\?|---)[ \t]+[^ \t]+\// {
	if ($1 == "FAIL") printf "%s", said
	if ($1 != "?") show($0)
	said = ""; inside = 0
	next
}

# Outside of tests it is the compiler that speaks.
inside { said = said $0 "\n"; next }
/[^ \t]/ && $0 !~ /no test files/ { show($0) }

END {
	printf "%s", said
	if (skipped) { print "FAIL: " skipped " skipped tests"; exit 1 }
}
