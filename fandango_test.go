package fandango_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What Fandango's threading classes do was read from their source and run, and numbered row by row; tests speak of these
// rows. These are the rows that were faults, with the tests that fail if this project makes them too.
var faults = []struct {
	row   string
	what  string
	tests string // of which package, and which
}{
	// WorkerProcess: life.
	{"3", "equal arguments give the same object, also after its end", "executor.TestBUG3AfterTheEndASharedNameHasANewRunner"},
	{"4", "no second start, and no restart", "pool.TestBUG4AWorkerThatDiedIsReplaced pool.TestRestartsLeakNothing"},
	{"5", "stop leaves a busy child alive", "pool.TestGraceEndsWhatDoesNotFinish pool.TestDrainLetsRunningTasksFinish"},
	{"8", "a dead child leaves callbacks and commands pending", "pool.TestBUG8ADeadWorkerIsAnOutcomeForAll pool.TestDeathOfAWorker"},
	{"10", "idle is counted in loops", "executor.TestBUG10And11AnIdleWorkerWaitsForItsMasterAndEndsWithIt"},
	{"11", "a child outlives its killed master", "executor.TestBUG10And11AnIdleWorkerWaitsForItsMasterAndEndsWithIt " +
		"internal/proc.TestChildHasThreeDescriptorsAndASessionOfItsOwn internal/proc.TestKilledMasterLeavesNobody"},
	{"12", "a slow callback kills the worker", "pool.TestBUG12ASlowCallbackKillsNoWorker master.TestM02ABlockedCallbackHoldsUpItsKeyOnly"},
	{"13", "a question sent passes for a sign of life", "pool.TestBUG13AProcessThatDoesNotAnswerIsNotReady"},
	{"14", "two threads write one pipe without a lock", "pool.TestPoolIsARunner pool.TestManyTasksOnManyWorkers"},
	{"15", "both directions full: a deadlock", "pool.TestBUG15LargeTasksAndLargeAnswersPassEachOther pool.TestW32AWorkerThatReadsNothing"},
	{"16", "one task a turn, and a sleep", "pool.TestOneWindowAtMostWaitsBehindASlowTask"},
	{"17", "a worker can run code in its master", "ipc.TestBombsAsAnswers ipc.TestBombsInsideDecodedValues master.TestGetOfAnotherType"},

	// WorkerProcess: send, coalescing, command.
	{"21", "a pending key drops new targets and args", "master.TestS05NoUpdateIsLost"},
	{"24", "a key whose answer never comes is dead", "master.TestAFailureIsAnOutcome pool.TestBUG8ADeadWorkerIsAnOutcomeForAll"},
	{"25", "a send between answer and bookkeeping is lost", "master.TestASendInACallbackOfItsOwnKeyIsNotLost"},
	{"27", "reserved keys lie in the user's names", "ipc.TestNewTask pool.TestPoolIsARunner"},
	{"28", "a second pause is lost", "master.TestBUG28ASecondPauseCounts"},
	{"31", "a command has no timeout", "master.TestACommandThatEndsEarlySaysWhatItWaitedFor"},
	{"32", "parallel commands get each other's results", "master.TestEachCommandHasItsOwnResult"},
	{"33", "a command in a callback waits for itself", "master.TestCommandInACallback"},
	{"34", "the same command with other args gives the first's result", "master.TestEachCommandHasItsOwnResult master.TestS05NoUpdateIsLost"},

	// WorkerProcess: add, get, pop, pause, bind.
	{"39", "an added key runs twice at first", "master.TestAnEntryRunsAtOnceAndThenAnchored"},
	{"41", "sends starve the periodic keys", "master.TestSendsDoNotStarveEntries"},
	{"43", "the callback of an added key is never called", "master.TestASlowCallbackOfAnEntrySkips"},
	{"44", "nor are the others of that key", "master.TestASendOfAnAddedKeyUpdatesItsValue"},
	{"48", "the first read after expiry gives the old value", "master.TestS09AnExpiredValueIsNoValue"},
	{"51", "without an expiry, a value expires after a period", "master.TestExpireIsAsGiven"},
	{"57", "a pause calls the executor", "master.TestS08PauseDuringARun"},
	{"58", "so does an add while paused", "master.TestS08PauseDuringARun"},
	{"60", "nobody learns whether a bind worked", "executor.TestBindThroughAPool executor.TestBindThroughAPoolFails master.TestBind"},

	// What a tuple means, and the evaluator.
	{"67", "a list of a list passes for a map", "executor.TestLocalIsARunner pool.TestPoolIsARunner"},
	{"68", "__class__ is an attribute of no executor", "executor.TestLocalIsARunner pool.TestPoolIsARunner"},
	{"69", "a dict or a list as target is not what the manual says", "executor.TestLocalIsARunner executor/evalx.TestStructuredForms"},
	{"73", "class arguments in a list are an error", "executor/evalx.TestStructuredForms"},
	{"77", "a text with an import in it is one", "executor/evalx.TestImport"},
	{"78", "import as, and from import, bind the wrong names", "executor/evalx.TestImport"},
	{"79", "an import loads again", "executor/evalx.TestImport"},
	{"81", "a.b = 1, x= and x += 1", "executor/evalx.TestSession"},
	{"82", "functions do not see the session", "executor/evalx.TestSession"},

	// CronTab.
	{"85", "lists, ranges and names end the thread in silence", "crontab.TestRow85ListsRangesAndNamesRunAndABadLineIsToldByAdd"},
	{"86", "steps of days count from 0", "crontab.TestRow86AStepOfDaysCountsFromOne"},
	{"87", "Sunday never comes", "crontab.TestRow87SundayIsZeroAndSeven"},
	{"88", "both day fields must fit", "crontab.TestRow88EitherDayFieldWillDo"},
	{"90", "asking suppresses a run", "crontab.TestRow90AskingSuppressesNothing"},
	{"93", "do_task does another task", "crontab.TestRow93AnotherTaskIsTheOneThatIsDone"},
	{"94", "exit code and stderr are lost", "crontab.TestRow94ExitCodeStdoutAndStderrAreKept"},

	// ThreadedObject.
	{"99", "killed while paused, it never ends", "periodic.TestBUG99KilledWhilePausedItEnds"},
	{"104", "first has no effect", "periodic.TestBUG104FirstLetsCyclesGoBy"},
	{"105", "a queued time is used again and again", "periodic.TestBUG105AQueuedTimeIsUsedOnce"},
	{"106", "min_wait is ignored", "periodic.TestBUG106MinWaitIsObeyed"},

	// ThreadDict.
	{"110", "a second append does not change the period", "polled.TestBUG110ASecondAppendChangesThePeriod"},
	{"115", "a read holds up every other key", "polled.TestBUG115AReadOfOneKeyDelaysNoOther"},
	{"116", "pop does not stop the polling", "polled.TestBUG116PopStopsPolling polled.TestWhatAPoppedReadBringsIsDropped"},
	{"117", "a key that comes last makes others skip", "polled.TestBUG117AKeyThatComesLastMakesNoOtherSkip"},
	{"118", "start and stop block", "polled.TestBUG118StopAndStartDoNotWait polled.TestBUG118RunEndsThoughAReadHangs"},
	{"120", "nothing is locked", "polled.TestBUG120FromFiftyGoroutines"},

	// WorkerThread, SingletonWorker, Pool, tasklets, QWorker, helpers.
	{"124", "it is done while a task runs", "executor.TestBUG124ItIsNotDoneWhileATaskRuns"},
	{"126", "a dict as target loses all results", "executor.TestBUG126ATargetThatIsNoKeyLosesNoResult"},
	{"127", "a pool cannot be made, and loses tasks", "pool.TestMapNeedsNoMoreThanARunner pool.TestNoTaskIsLostWhenTheQueueRunsEmpty"},
	{"129", "the documented form of a subprocess call fails", "tasklet.TestTheDocumentedFormWorks"},
	{"130", "a killed child is noticed late, and one that ignores TERM never", "tasklet.TestAKilledChildIsNoticedAtOnceAndNotAtTheTimeout " +
		"tasklet.TestAChildThatIgnoresTermIsKilledAtItsTimeout"},
	{"133", "put wakes nobody, and an odd item stalls the rest", "mainloop.TestPutWakesAnIdleQueue " +
		"mainloop.TestAnItemThatFailsDoesNotStallTheOthers mainloop.TestDoneStaysFullAtTheEnd mainloop.TestLenTellsWhatWaits"},
	{"134", "timed_range yields nothing", "crontab.TestRow134TimedRangeYields"},
}

// TestEveryFaultHasItsTest sees to it that the table above tells the truth.
func TestEveryFaultHasItsTest(t *testing.T) {
	there := testNames(t)
	seen := map[string]bool{}
	for _, f := range faults {
		if seen[f.row] {
			t.Errorf("row %s stands twice", f.row)
		}
		seen[f.row] = true
		for name := range strings.FieldsSeq(f.tests) {
			if !there[name] {
				t.Errorf("row %s, %s: there is no %s", f.row, f.what, name)
			}
		}
	}
}

// guideName is a name in the porting guide: of a room, and perhaps of a type in it.
var guideName = regexp.MustCompile(`\b(executor|ipc|mainloop|master|periodic|polled|pool|schedule|crontab|tasklet)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)

// TestTheGuideNamesWhatThereIs: the tables of docs/fandango.md are not run, so each name in them is looked up.
func TestTheGuideNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("docs/fandango.md")
	if err != nil {
		t.Fatal(err)
	}
	there := testNames(t)
	for room, names := range exported(t) {
		for name := range names {
			there[room+"."+name] = true
		}
	}
	found := 0
	for _, m := range guideName.FindAllStringSubmatch(string(text), -1) {
		found++
		if !there[m[0]] {
			t.Errorf("docs/fandango.md names %s, which is not there", m[0])
		}
	}
	if found < 50 {
		t.Errorf("only %d names were found", found)
	}
}

// exported has the names of each room that its users see, those of methods and fields as Type.Name.
func exported(t *testing.T) map[string]map[string]bool {
	t.Helper()
	rooms := map[string]map[string]bool{}
	goFiles(t, func(file string, parsed *ast.File) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		names := rooms[path.Dir(file)]
		if names == nil {
			names = map[string]bool{}
			rooms[path.Dir(file)] = names
		}
		for _, decl := range parsed.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				names[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declared(names, spec)
				}
			}
		}
	})
	return rooms
}

// receiver is "Type." for a method.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	var name string
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool { // it may be a pointer, and have type parameters
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name + "."
		}
		return true
	})
	return name
}

// declared notes the names of a declaration.
func declared(names map[string]bool, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range s.Names {
			names[id.Name] = true
		}
	case *ast.TypeSpec:
		names[s.Name.Name] = true
		if fields, ok := s.Type.(*ast.StructType); ok {
			for _, f := range fields.Fields.List {
				for _, id := range f.Names {
					names[s.Name.Name+"."+id.Name] = true
				}
			}
		}
	}
}

// testNames has the tests and examples of all packages, as room.TestName.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	goFiles(t, func(file string, parsed *ast.File) {
		if !strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, decl := range parsed.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names[path.Dir(file)+"."+f.Name.Name] = true
			}
		}
	})
	return names
}

// goFiles parses all Go files of the checkout.
func goFiles(t *testing.T, visit func(file string, parsed *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(filepath.ToSlash(file), parsed)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
