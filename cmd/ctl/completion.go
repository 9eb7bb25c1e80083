package ctl

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

var (
	//go:embed completion/meshctl.bash
	completionBash string
	//go:embed completion/meshctl.zsh
	completionZsh string
	//go:embed completion/meshctl.fish
	completionFish string
)

var completionCommand = command{
	name:    "completion",
	kind:    offline,
	args:    "SHELL",
	maxArgs: 1,
	summary: "what makes a shell complete what is typed: bash, zsh or fish",
	help: `
Commands, flags, and the names of the services of this mesh are completed. The
package has installed it already; without the package:

  source <(meshctl completion bash)
  source <(meshctl completion zsh)
  meshctl completion fish | source`,
	example: "meshctl completion bash",
	setup: func(p *program, _ *flag.FlagSet) runner {
		return func(_ context.Context, args []string) error {
			script := map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}[append(args, "")[0]]
			if script == "" {
				return usageError("completion: name a shell: " + strings.Join(shells, ", "))
			}
			fmt.Fprint(p.Stdout, script)
			return nil
		}
	},
}

var shells = []string{"bash", "zsh", "fish"}

const (
	// completeWord is the hidden command by which the shells ask. Its arguments are the words after meshctl, the last of
	// which, perhaps empty, is to be completed.
	completeWord = "__complete"

	// completeFiles is what it answers when the shell itself knows best.
	completeFiles = ":files"

	// completeTimeout: a person waits.
	completeTimeout = 500 * time.Millisecond
)

// candidate is a word that may follow, with what it means.
type candidate struct{ word, meaning string }

// complete prints what may stand in the place of the last word, each in a line, with a tab before what it means. It is
// silent about everything that goes wrong.
func complete(ctx context.Context, env Env, words []string) {
	if len(words) == 0 {
		return
	}
	before, last := words[:len(words)-1], words[len(words)-1]
	found := candidates(ctx, env, before, last)
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	for _, c := range found {
		switch {
		case !strings.HasPrefix(c.word, last) && c.word != completeFiles:
		case c.meaning == "":
			fmt.Fprintln(env.Stdout, printable(c.word))
		default:
			fmt.Fprintf(env.Stdout, "%s\t%s\n", printable(c.word), printable(c.meaning))
		}
	}
}

func candidates(ctx context.Context, env Env, before []string, last string) []candidate {
	if len(before) == 0 {
		return commandCandidates()
	}
	c, found := lookup(before[0])
	if !found {
		return nil
	}
	p := &program{Env: env}
	flags, _ := c.prepare(p)
	positional := 0
	for words := before[1:]; len(words) > 0; words = words[1:] {
		f := flags.Lookup(strings.TrimLeft(words[0], "-"))
		switch {
		case !strings.HasPrefix(words[0], "-"):
			positional++
		case f == nil || valueOf(f) == "":
		case len(words) == 1 && f.Name == "service":
			return p.serviceCandidates(ctx)
		case len(words) == 1:
			return p.argumentCandidates(ctx, valueOf(f))
		default:
			_ = flags.Set(f.Name, words[1]) // -socket, above all
			words = words[1:]
		}
	}
	if strings.HasPrefix(last, "-") {
		var all []candidate
		flags.VisitAll(func(f *flag.Flag) {
			_, text := flag.UnquoteUsage(f)
			all = append(all, candidate{"-" + f.Name, text})
		})
		return all
	}
	if c.maxArgs >= 0 && positional >= c.maxArgs {
		return nil
	}
	return p.argumentCandidates(ctx, argumentAt(c.args, positional))
}

// argumentAt returns the n-th argument of a usage line, of which the last one may be repeated.
func argumentAt(args string, n int) string {
	names := strings.Fields(args)
	if len(names) == 0 {
		return ""
	}
	return names[min(n, len(names)-1)]
}

// argumentCandidates returns what an argument, or the value of a flag, may be by its name in the usage line.
func (p *program) argumentCandidates(ctx context.Context, name string) []candidate {
	switch strings.Trim(name, "[].") {
	case "COMMAND":
		return commandCandidates()
	case "SERVICE", "TO":
		return p.serviceCandidates(ctx)
	case "FROM":
		return append(p.serviceCandidates(ctx), p.hostCandidates(ctx)...)
	case "METHOD":
		return wordCandidates([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
	case "SHELL":
		return wordCandidates(shells)
	case "FORMAT":
		return wordCandidates([]string{"table", "json"})
	case "FILE", "PATH", "DIR":
		return []candidate{{word: completeFiles}}
	}
	return nil
}

func commandCandidates() []candidate {
	var all []candidate
	for _, c := range commands() {
		all = append(all, candidate{c.name, c.summary})
	}
	return all
}

func wordCandidates(words []string) []candidate {
	var all []candidate
	for _, w := range words {
		all = append(all, candidate{word: w})
	}
	return all
}

// serviceCandidates asks the daemon.
func (p *program) serviceCandidates(ctx context.Context) []candidate {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	list, err := p.client().Services(ctx)
	if err != nil {
		return nil
	}
	var all []candidate
	for _, s := range list.Services {
		all = append(all, candidate{s.Name, s.DNSName})
	}
	return all
}

// hostCandidates asks the daemon what processes are that are no service.
func (p *program) hostCandidates(ctx context.Context) []candidate {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	status, err := p.client().Status(ctx)
	if err != nil {
		return nil
	}
	return []candidate{{"host:" + status.Host, "who is no service"}}
}
