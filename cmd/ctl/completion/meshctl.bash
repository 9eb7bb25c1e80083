# Completion of meshctl for bash: meshctl itself says what may follow.
_meshctl() {
	local -a found
	mapfile -t found < <(meshctl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	COMPREPLY=()
	if [[ ${found[0]-} == :files ]]; then
		compopt -o default
	elif ((${#found[@]})); then
		COMPREPLY=("${found[@]%%$'\t'*}")
	fi
}
complete -F _meshctl meshctl
