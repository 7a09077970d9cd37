package main

import "os/exec"

// inOwnGroup has nothing to call here: what a command has started may outlive it.
func inOwnGroup(*exec.Cmd) {}
