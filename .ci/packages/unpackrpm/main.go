// Command unpackrpm writes the files of an rpm package into a directory, where rpm
// itself is not installed: unpackrpm PACKAGE DIRECTORY.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sassoftware/go-rpmutils"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: unpackrpm PACKAGE DIRECTORY")
		os.Exit(2)
	}
	if err := unpack(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "unpackrpm:", err)
		os.Exit(1)
	}
}

func unpack(file, directory string) error {
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	rpm, err := rpmutils.ReadRpm(content)
	if err != nil {
		return err
	}
	if err := rpm.ExpandPayload(directory); err != nil {
		return err
	}
	files, err := rpm.Header.GetFiles()
	if err != nil {
		return err
	}
	for _, file := range files { // the payload is expanded without their modes
		if err := os.Chmod(filepath.Join(directory, file.Name()), fs.FileMode(file.Mode())&fs.ModePerm); err != nil {
			return err
		}
	}
	return nil
}
