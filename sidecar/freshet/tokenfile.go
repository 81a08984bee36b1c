package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// tokenMax and tokenMin bound a token, in bytes.
	tokenMax = 4096
	tokenMin = 16
)

// readToken reads the token of the admin address; without a file there is none. No
// error shows what the file holds.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", usage("read --admin-token-file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, tokenMax+1))
	if err != nil {
		return "", usage("read --admin-token-file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < tokenMin || len(token) > tokenMax || strings.ContainsAny(token, " \t\r\n") {
		return "", codedError{fmt.Errorf("read --admin-token-file %s: write one line with %d to %d letters and digits, such as openssl rand -hex 16 prints", path, tokenMin, tokenMax), exitUsage}
	}
	return token, nil
}
