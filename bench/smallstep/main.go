// Seals messages with github.com/smallstep/pkcs7 as S/MIME entities and times itself. The argument
// names a certificate in PEM. Standard input has lines of words between tabs: "load FILE...",
// answered by how many messages there are; "run COUNT", answered by the nanoseconds that so many
// took, on the wall and of the processor; "write FILE", answered by the length of the first message,
// which now stands there sealed.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/smallstep/pkcs7"
)

const header = "MIME-Version: 1.0\r\n" +
	"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"\r\n" +
	"Content-Transfer-Encoding: base64\r\n\r\n"

const inLine = 57 // bytes that fill a line of base64

type peer struct {
	to       []*x509.Certificate
	messages [][]byte
	next     int
	sealed   []byte
}

func (p *peer) seal(message []byte) error {
	// Without spare capacity: the library appends its padding to what it is given.
	cms, err := pkcs7.Encrypt(message[:len(message):len(message)], p.to)
	if err != nil {
		return err
	}
	p.sealed = append(p.sealed[:0], header...)
	for ; len(cms) > 0; cms = cms[min(inLine, len(cms)):] {
		p.sealed = base64.StdEncoding.AppendEncode(p.sealed, cms[:min(inLine, len(cms))])
		p.sealed = append(p.sealed, '\r', '\n')
	}
	return nil
}

func (p *peer) load(files []string) (string, error) {
	p.messages, p.next = nil, 0
	for _, file := range files {
		message, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		p.messages = append(p.messages, message)
	}
	return strconv.Itoa(len(files)), nil
}

func (p *peer) run(count int) (string, error) {
	wall, cpu := time.Now(), processorTime()
	for range count {
		if err := p.seal(p.messages[p.next]); err != nil {
			return "", err
		}
		p.next = (p.next + 1) % len(p.messages)
	}
	cpu = processorTime() - cpu
	return fmt.Sprintf("%d\t%d", time.Since(wall).Nanoseconds(), cpu.Nanoseconds()), nil
}

func (p *peer) write(file string) (string, error) {
	if err := p.seal(p.messages[0]); err != nil {
		return "", err
	}
	return strconv.Itoa(len(p.sealed)), os.WriteFile(file, p.sealed, 0o600)
}

func (p *peer) answer(words []string) (string, error) {
	switch {
	case words[0] == "load":
		return p.load(words[1:])
	case words[0] == "run" && len(words) == 2:
		count, err := strconv.Atoi(words[1])
		if err != nil {
			return "", err
		}
		return p.run(count)
	case words[0] == "write" && len(words) == 2:
		return p.write(words[1])
	}
	return "", fmt.Errorf("there is no command %q", words)
}

// Of this process, its collector of garbage included.
func processorTime() time.Duration {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	found := info.GoVersion
	for _, one := range info.Deps {
		if one.Path == "github.com/smallstep/pkcs7" {
			found = "smallstep/pkcs7 " + one.Version + ", " + found
		}
	}
	return found
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	must(err)
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(err)
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	p := peer{to: []*x509.Certificate{certificate}}
	fmt.Println(version())
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		answer, err := p.answer(strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
		must(err)
		fmt.Println(answer)
	}
}
