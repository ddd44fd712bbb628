// Prints texts and the chunks that langchaingo's recursive character splitter makes of them, one JSON object per line:
//
//	go run . > chunks.jsonl
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"

	"github.com/tmc/langchaingo/textsplitter"
)

type fixture struct {
	Text    string   `json:"text"`
	Size    int      `json:"size"`
	Overlap int      `json:"overlap"`
	Chunks  []string `json:"chunks"`
}

func main() {
	r := rand.New(rand.NewSource(20261121))
	var out []fixture
	add := func(text string, size, overlap int) {
		s := textsplitter.NewRecursiveCharacter(textsplitter.WithChunkSize(size), textsplitter.WithChunkOverlap(overlap))
		chunks, err := s.SplitText(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if chunks == nil {
			chunks = []string{}
		}
		out = append(out, fixture{text, size, overlap, chunks})
	}
	words := []string{"a", "be", "sea", "deep", "eagle", "é", "naïve", "☃", "🦀🦀", "日本語テキスト", "x1", "Donaudampfschiff", "\u00a0", "\t"}
	seps := []string{" ", " ", " ", " ", "\n", "\n", "\n\n", "\n\n\n", "  ", "", "\r\n"}
	for _, n := range []int{1, 3, 10} {
		add("", n, 0)
		add("   ", n, 0)
		add("\n\n\n \n\n", n, 0)
		add("abcdefghijklmnopqrstuvwxyz", n, 0)
		add("日本語テキストには空白がない", n, n/2)
		add("🦀🦀🦀☃☃☃ééé", n, n-1)
	}
	for i := 0; i < 220; i++ {
		text := ""
		for j, n := 0, r.Intn(60); j < n; j++ {
			text += words[r.Intn(len(words))] + seps[r.Intn(len(seps))]
		}
		size := 1 + r.Intn(40)
		add(text, size, r.Intn(size))
	}
	long := ""
	for j := 0; j < 900; j++ {
		long += words[r.Intn(len(words))] + seps[r.Intn(len(seps))]
	}
	add(long, 1000, 500)
	add(long, 200, 50)
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	for _, f := range out {
		enc.Encode(f)
	}
}
