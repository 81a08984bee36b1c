package main

import (
	"bytes"
	"encoding/hex"
	"io"
	"os"

	"github.com/freshet/freshet/cache/engine"
)

const (
	// keyFileMax bounds the size of a key file, in bytes.
	keyFileMax = 64 << 10
	keyFileHow = "write one key a line, each of 64 hexadecimal digits, such as `openssl rand -hex 32` prints; lines that begin with # are notes"
)

// readKeyFile reads the keys for entries in Redis, in the order of their lines.
// Without a file there are none. No error shows what the file holds.
func readKeyFile(path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, usage("read --redis-key-file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, keyFileMax+1))
	if err != nil {
		return nil, usage("read --redis-key-file: %w", err)
	}
	if len(text) > keyFileMax {
		return nil, usage("read --redis-key-file %s: it has more than %d bytes; %s", path, keyFileMax, keyFileHow)
	}
	var keys [][]byte
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key := make([]byte, hex.DecodedLen(len(line)))
		if _, err := hex.Decode(key, line); err != nil || len(key) != engine.SealKeyLength {
			return nil, usage("read --redis-key-file %s: line %d is no key; %s", path, i+1, keyFileHow)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, usage("read --redis-key-file %s: it holds no key; %s", path, keyFileHow)
	}
	return keys, nil
}
