#compdef meshctl
# Completion of meshctl for zsh: meshctl itself says what may follow.
_meshctl() {
	local -a found
	found=("${(@f)$(meshctl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ $found[1] == :files ]]; then
		_files
		return
	fi
	found=("${(@)found//:/\\:}")
	found=("${(@)found/$'\t'/:}")
	_describe -t meshctl meshctl found
}
if [[ $funcstack[1] == _meshctl ]]; then
	_meshctl "$@"
else
	compdef _meshctl meshctl
fi
