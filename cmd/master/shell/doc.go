// Package shell is the language of the master command: it turns lines into commands and tasks, and outcomes into lines.
//
// One grammar serves everywhere: [Parse] reads the words that follow "master" in a shell and the lines of a serve file.
// [Source] reads the input of a batch, [Batch] sends it to a master and prints what comes back, [Format] shapes each
// result, and [Screen] owns the terminal: messages, progress, colours.
//
// Whatever reaches a person passes through one rule: control characters, terminal escapes and bidirectional overrides
// are shown escaped, whoever wrote them.
package shell
