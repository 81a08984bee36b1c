package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestFunctionList(t *testing.T) {
	file := writeConfig(t, "function:\n  - shop.slug(text)=pure\n  - shop.total(int, text) = shop.orders + shop.items\n  - auth.uid()=auth.users+setting:request.jwt.claims\n")
	got, err := parseServe(t, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{shop.slug(text) [] []} {shop.total(int, text) [shop.orders shop.items] []} {auth.uid() [auth.users] [request.jwt.claims]}]`; fmt.Sprint(got.Function) != want {
		t.Errorf("from the file: %v, want %s", got.Function, want)
	}
	if texts := got.Function.texts(); texts[2] != "auth.uid()=auth.users+setting:request.jwt.claims" {
		t.Errorf("as text: %q", texts)
	}
	if _, err := parseServe(t, "--function", "a.f()=setting:search_path"); err == nil || !strings.Contains(err.Error(), "application's own") {
		t.Errorf("a setting of Postgres': error %v", err)
	}
	got, err = parseServe(t, "--function", "a.f()=pure,a.g(int,int)=a.t", "--function", "a.h()=pure")
	if err != nil || len(got.Function) != 3 || got.Function[1].Signature != "a.g(int,int)" {
		t.Errorf("from flags: %v, error %v", got.Function, err)
	}
	for _, text := range []string{"a.f", "a.f(int)", "a.f(int)=", "a.f(int)=t", "=pure", "a.f(int)=a.t+"} {
		if _, err := parseServe(t, "--function", text); err == nil || !strings.Contains(err.Error(), "write ") {
			t.Errorf("%q: error %v, which must say what to write", text, err)
		}
	}
}
