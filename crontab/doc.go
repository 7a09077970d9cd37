// Package crontab runs what crontab lines say, in this process: Fandango's CronTab.
//
//	tab := crontab.New(crontab.Config{})
//	job, err := tab.Add(crontab.Line{When: "*/20 9-17 * * 1-5", Task: crontab.Shell("make report")})
//	err = tab.Run(ctx)
//
// A [Line] is when, as [schedule.Cron] reads it, and what: any func, a [Command] with its exit code and what it printed, or
// a task for an [ipc.Runner] ([Send]). [Parse] reads a whole crontab file. A [Tab] holds any number of lines and waits for
// all of them with one timer; [Tab.Run] is its life. A [Job] is a line at work: it can be started and stopped, asked what
// it would do at a time, run out of turn, and it remembers its last results.
//
// What becomes of a run that is due while the one before has not ended, and of runs that were missed because the machine
// slept or the clock was put forward, is the line's to say: [schedule.Overlap], [schedule.Missed].
//
// [Range] and [Wait] are loops that take their time, and end when their context does.
package crontab
