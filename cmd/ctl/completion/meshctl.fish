# Completion of meshctl for fish: meshctl itself says what may follow.
function __meshctl_complete
	set -l before (commandline -opc)
	set -l current (commandline -ct)
	set -l found (meshctl __complete $before[2..-1] "$current" 2>/dev/null)
	if test "$found[1]" = :files
		__fish_complete_path "$current"
		return
	end
	printf '%s\n' $found
end
complete -c meshctl -f -a '(__meshctl_complete)'
