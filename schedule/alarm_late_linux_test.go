package schedule

import (
	"testing"
	"time"
)

// TestAWakeThatIsLateTakesNoWaitItsTime: who wakes says so first and then sets the timer. When the one he wakes has seen it
// before that, and waits again already, the timer rings for that wait, and too early; it waited for ever then.
func TestAWakeThatIsLateTakesNoWaitItsTime(t *testing.T) {
	t.Parallel()
	s, err := openTimer()
	if err != nil {
		t.Fatal(err)
	}
	defer s.file.Close()
	const d = 50 * time.Millisecond
	start, over := time.Now(), make(chan time.Duration, 1)
	go func() {
		s.wait(d)
		over <- time.Since(start)
	}()
	for time.Since(start) < d/2 {
		s.set(1) // what is left of such a wake
		<-time.After(time.Millisecond)
	}
	select {
	case waited := <-over:
		if waited < d {
			t.Errorf("it waited %v of %v", waited, d)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
		s.wake()
		<-over
	}
}
