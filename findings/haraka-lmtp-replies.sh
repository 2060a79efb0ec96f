#!/bin/sh
# Haraka, delivering by LMTP, gives the replies to a message to the wrong recipients.
#
# Tried: Haraka 3.3.4 on Node.js 20, one message to three recipients, by a plugin's using_lmtp.
#
# Behaviour: the next hop accepts all three at RCPT and answers for the message 250, 451, 550, each
# with the recipient's name in it. Haraka holds the first recipient, who has the mail, for put off by
# the second one's 451, and the second one for refused by the third one's 550. The first gets a
# second copy, the second one's sender gets a bounce for mail that only had to wait, and the third
# one's refusal is told to nobody.
#
# An expert expects one reply for each accepted recipient, in the order of the RCPT commands (RFC
# 2033, section 4.2), of which the first belongs to the first.
#
# What follows: behind Haraka use SMTP, or take one recipient for each LMTP transaction.
set -eu

folder=$(mktemp -d)
trap 'kill $(cat "$folder"/*.pid 2> /dev/null) 2> /dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

npm install --silent --ignore-scripts --no-audit --no-fund Haraka@3.3.4

mkdir -p haraka/plugins haraka/queue
cp -r node_modules/Haraka/config haraka/
echo hop > haraka/config/plugins
echo haraka.example.net > haraka/config/me
printf 'listen=127.0.0.1:12525\nnodes=0\n' > haraka/config/smtp.ini
printf 'local_mx_ok=true\ntemp_fail_intervals=60s\n' > haraka/config/outbound.ini
printf 'level=info\n' > haraka/config/log.ini
cat > haraka/plugins/hop.js <<'JS'
exports.hook_rcpt = (next, connection) => {
    connection.relaying = true;
    next(OK);
};
exports.hook_get_mx = (next) =>
    next(OK, { priority: 0, exchange: '127.0.0.1', port: 12424, using_lmtp: true });
JS

# The next hop: each line but those of the message is a command with one reply.
cat > hop.js <<'JS'
const net = require('net');
const ANSWERS = { carol: '250 2.0.0', alice: '451 4.2.2', bob: '550 5.2.1' };
net.createServer((socket) => {
    let to = [], content = false, held = '';
    const say = (line) => socket.write(line + '\r\n');
    const take = (line) => {
        if (content && line !== '.') return;
        if (content) {
            content = false;
            for (const name of to) say(`${ANSWERS[name]} ${name}`);
            to = [];
        } else if (/^LHLO/i.test(line)) say('250 hop');
        else if (/^RCPT/i.test(line)) {
            to.push(line.match(/<(\w+)@/)[1]);
            say('250 2.1.5 ok');
        } else if (/^DATA/i.test(line)) {
            content = true;
            say('354 go on');
        } else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
        else say('250 2.0.0 ok');
    };
    socket.on('error', () => {});
    socket.on('data', (data) => {
        const lines = (held + data).split('\r\n');
        held = lines.pop();
        lines.forEach(take);
    });
    say('220 hop LMTP');
}).listen(12424, '127.0.0.1');
JS
cat > send.js <<'JS'
const socket = require('net').connect(12525, '127.0.0.1');
const lines = [
    'EHLO client.example.net', 'MAIL FROM:<dora@example.net>',
    ...['carol', 'alice', 'bob'].map((name) => `RCPT TO:<${name}@example.org>`),
    'DATA', 'From: dora@example.net\r\nSubject: boat\r\n\r\nIt leaks.\r\n.', 'QUIT',
];
socket.on('data', (data) => {
    if (/^\d{3} /m.test(data) && lines.length) socket.write(lines.shift() + '\r\n');
});
JS

node hop.js & echo $! > hop.pid
node node_modules/Haraka/bin/haraka -c "$folder/haraka" > log 2>&1 & echo $! > haraka.pid
sleep 5
timeout 20 node send.js || { cat log; exit 1; }
for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    grep -q 'rejected: 550' log && break
done
grep -o 'recipient <[a-z]*@example.org> [a-z]*: [45][0-9][0-9].*' log || { cat log; exit 1; }

# Seen:
#   recipient <carol@example.org> deferred: 451 4.2.2 carol alice
#   recipient <alice@example.org> rejected: 550 5.2.1 bob
grep -q 'recipient <carol@example.org> deferred: 451 4.2.2' log
grep -q 'recipient <alice@example.org> rejected: 550 5.2.1 bob' log
echo 'as described'
