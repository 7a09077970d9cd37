package evalx

import (
	"fmt"
	"strings"
)

// The parser, the resolver and the compiler recurse, and a Go stack that is used up ends the process. So a text is
// measured before it is parsed.
const (
	maxSource = 256 << 10 // bytes of a text
	maxNested = 200       // brackets inside each other
	maxPieces = 5000      // words and signs of one item, with all that it stands in
	maxElifs  = 1000      // each is inside of the one before
)

// guard refuses a text that would be nested too deep. It counts words and signs: no tree is deeper than the number of
// them between two commas or lines, added up over the brackets around.
func guard(text string) error {
	if len(text) > maxSource {
		return syntaxError(fmt.Sprintf("the text is %d bytes long; at most %d are evaluated", len(text), maxSource))
	}
	var pieces [maxNested + 1]int // of the current item, by bracket depth
	depth, sum, word, elifs := 0, 0, false, 0
	piece := func() { pieces[depth]++; sum++ }
	item := func() { sum -= pieces[depth]; pieces[depth] = 0 }
	for i := 0; i < len(text); i++ {
		c := text[i]
		if isWord(c) {
			if !word {
				piece()
				if isElif(text[i:]) {
					elifs++
				}
			}
			word = true
			if elifs > maxElifs {
				return syntaxError(fmt.Sprintf("more than %d elif", maxElifs))
			}
			if sum > maxPieces {
				return tooLong()
			}
			continue
		}
		word = false
		switch c {
		case ' ', '\t', '\r':
		case '#':
			if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
				i += end - 1
			} else {
				i = len(text)
			}
		case '"', '\'':
			piece()
			i = endOfString(text, i)
		case '(', '[', '{':
			if depth == maxNested {
				return syntaxError(fmt.Sprintf("brackets are nested deeper than %d", maxNested))
			}
			piece()
			depth++
		case ')', ']', '}':
			if depth > 0 {
				item()
				depth--
			}
		case ',':
			item()
		case ';', '\n':
			if depth == 0 {
				item()
			}
		default:
			piece()
		}
		if sum > maxPieces {
			return tooLong()
		}
	}
	return nil
}

func tooLong() error {
	return syntaxError(fmt.Sprintf("an expression has more than %d words and signs; make it several, or a list", maxPieces))
}

func isElif(text string) bool {
	rest, ok := strings.CutPrefix(text, "elif")
	return ok && (rest == "" || !isWord(rest[0]))
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// endOfString returns the place of the quote that ends the string which begins at start, or the end of the line or text.
func endOfString(text string, start int) int {
	quote := text[start : start+1]
	if strings.HasPrefix(text[start:], strings.Repeat(quote, 3)) {
		quote = text[start : start+3]
	}
	for i := start + len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '\n' && len(quote) == 1:
			return i
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote) - 1
		}
	}
	return len(text)
}
