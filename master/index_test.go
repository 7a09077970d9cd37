package master

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestIndexAgainstAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var x index
		all := map[string]*row{}
		key := rapid.Custom(func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(0, 40).Draw(t, "key")) })
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				key := key.Draw(t, "key")
				if all[key] != nil {
					t.Skip()
				}
				all[key] = &row{key: key}
				x.add(all[key])
			},
			"remove": func(t *rapid.T) {
				key := key.Draw(t, "key")
				x.remove(&row{key: key}) // it is not this one
				if row := all[key]; row != nil {
					x.remove(row)
					x.remove(row)
					delete(all, key)
				}
			},
			"remove some while ranging": func(t *rapid.T) {
				odd := rapid.IntRange(0, 1).Draw(t, "odd")
				for row := range x.all {
					if n, _ := strconv.Atoi(row.key); n%2 == odd {
						x.remove(row)
						delete(all, row.key)
					}
				}
			},
			"": func(t *rapid.T) {
				for n := range 41 {
					key := strconv.Itoa(n)
					if got := x.get(key); got != all[key] {
						t.Fatalf("get(%s) = %p, want %p", key, got, all[key])
					}
				}
				n := 0
				for row := range x.all {
					if n++; all[row.key] != row {
						t.Fatalf("%s is in the index", row.key)
					}
				}
				if n != len(all) || x.rows != len(all) {
					t.Fatalf("%d rows, it says %d, want %d", n, x.rows, len(all))
				}
			},
		})
	})
}

func TestAScanOfAnIndexThatChangesMissesNoneAndRepeatsNone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var x index
		all := map[string]*row{}
		at, seen, stays := uint64(0), map[string]bool{}, map[string]bool{} // stays: since the scan began
		n := 0
		pick := rapid.Custom(func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(0, max(0, n-1)).Draw(t, "key")) })
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "keys") {
					key := strconv.Itoa(n)
					n++
					all[key] = &row{key: key}
					x.add(all[key])
				}
			},
			"remove": func(t *rapid.T) {
				key := pick.Draw(t, "key")
				if all[key] == nil {
					t.Skip()
				}
				x.remove(all[key])
				delete(all, key)
				delete(stays, key)
			},
			"remove and add again": func(t *rapid.T) {
				if n == 0 {
					t.Skip()
				}
				key := pick.Draw(t, "key")
				if all[key] != nil {
					x.remove(all[key])
					delete(stays, key)
				}
				all[key] = &row{key: key}
				x.add(all[key])
			},
			"scan": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "chains") {
					if at == 0 {
						clear(seen)
						clear(stays)
						for key := range all {
							stays[key] = true
						}
					}
					at = x.scan(at, func(row *row) {
						if seen[row.key] || all[row.key] != row {
							t.Fatalf("%s comes twice, or is not there", row.key)
						}
						seen[row.key] = true
					})
					if at != 0 {
						continue
					}
					for key := range stays {
						if !seen[key] {
							t.Fatalf("%s was there all the time, and did not come", key)
						}
					}
				}
			},
		})
	})
}

func TestIndexOfManyKeysHasShortChains(t *testing.T) {
	t.Parallel()
	var x index
	const n = 100_000
	for i := range n {
		x.add(&row{key: strconv.Itoa(i)})
	}
	longest := 0
	for i := range x.size {
		length := 0
		for n := x.at(uint32(i + 1)).first; n != 0; n = x.at(n).next {
			length++
		}
		longest = max(longest, length)
	}
	if longest > 20 { // a random hash makes it 9 or so; of 10¹⁰ tries none makes it 21
		t.Errorf("the longest of %d chains is %d", x.size, longest)
	}
}
