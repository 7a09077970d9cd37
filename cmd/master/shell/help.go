package shell

import (
	"fmt"
	"strings"
)

// HelpText is what there is to know about one command, or, for an empty topic, about all of them.
func HelpText(topic string) string {
	var b strings.Builder
	for _, v := range verbs {
		if v.name != topic {
			continue
		}
		if b.Len() > 0 { // it stands in a shell and in a file
			b.WriteString("\n")
		}
		b.WriteString(v.help())
	}
	if b.Len() > 0 {
		return b.String()
	}
	b.WriteString("Usage: master [COMMAND] [ARG...]     no command: in a pipe, `run -`\n\n")
	for _, v := range verbs {
		if v.place == InShell {
			fmt.Fprintf(&b, "  %-8s %s\n", v.name, v.summary)
		}
	}
	b.WriteString("\nIn a file for serve:\n\n")
	for _, v := range verbs {
		if v.place == InFile {
			fmt.Fprintf(&b, "  %-8s %s\n", v.name, v.summary)
		}
	}
	b.WriteString(`
  seq 10 | master run -t 'lambda n: int(n) * int(n)'

master help COMMAND tells all about one. An option may also be set in the environment: --keep-order as
MASTER_KEEP_ORDER=true. Colours obey --color, NO_COLOR and TERM=dumb.
`)
	return b.String()
}

func (v *verb) help() string {
	var b strings.Builder
	where := "master "
	if v.place == InFile {
		where = ""
	}
	fmt.Fprintf(&b, "%s\n", strings.TrimSpace("Usage: "+where+v.name+" "+v.usage))
	if v.place == InFile {
		b.WriteString("A line in a file for master serve.\n")
	}
	fmt.Fprintf(&b, "\n%s%s.\n", strings.ToUpper(v.summary[:1]), v.summary[1:])
	if v.text != "" {
		fmt.Fprintf(&b, "\n%s\n", v.text)
	}
	if options := v.build().flags.FlagUsages(); options != "" {
		fmt.Fprintf(&b, "\nOptions:\n%s", options)
	}
	return b.String()
}
