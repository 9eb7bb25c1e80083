// Talks with an echo server by ws of Node.js: websocket_client.js URL [orders]
'use strict'
const assert = require('node:assert')
const {once} = require('node:events')
const {randomBytes} = require('node:crypto')
const WebSocket = require('ws')

const [url, orders] = process.argv.slice(2)
const connect = async () => {
  const socket = new WebSocket(url, orders ? ['other', 'echo'] : [])
  await once(socket, 'open')
  return socket
}
const receive = async socket => {
  const [data, isBinary] = await once(socket, 'message')
  return isBinary ? data : data.toString()
}
const same = (got, want) => assert.ok(Buffer.isBuffer(want) ? want.equals(got) : got === want, `got ${String(got).slice(0, 100)}`)

const echo = async socket => {
  const all = Buffer.from(Array.from({length: 256}, (_, i) => i))
  for (const message of ['hello', '', 'ü€😀', all, Buffer.alloc(0), 'a'.repeat(1 << 20), randomBytes(1 << 20)]) {
    socket.send(message)
    same(await receive(socket), message)
  }
  socket.send('in ', {fin: false})
  socket.send('three ', {fin: false})
  socket.send('fragments', {fin: true})
  same(await receive(socket), 'in three fragments')
  socket.ping('are you there')
  same((await once(socket, 'pong'))[0].toString(), 'are you there')
}

// Messages go both ways at once.
const stream = async socket => {
  let i = 0
  const all = new Promise(resolve => socket.on('message', function take(data) {
    same(data.toString(), `message ${i++}`)
    if (i === 1000) resolve(socket.off('message', take))
  }))
  for (let j = 0; j < 1000; j++) socket.send(`message ${j}`)
  await all
}

// The server ends the connection, in one way or another.
const order = async (line, code, reason = '') => {
  const socket = await connect()
  socket.on('error', () => {}).send(line)
  const [gotCode, gotReason] = await once(socket, 'close')
  assert.deepEqual([gotCode, gotReason.toString()], [code, reason], String(line).slice(0, 20))
}

;(async () => {
  const socket = await connect()
  await echo(socket)
  await stream(socket)
  if (orders) {
    assert.equal(socket.protocol, 'echo')
    assert.equal(socket.extensions, 'permessage-deflate')
    socket.send('/fragments one two three')
    same(await receive(socket), 'one two three ')
    socket.send('/ping 42')
    same(await receive(socket), 'pong 42')
  }
  socket.close(4001, 'bye')
  await once(socket, 'close')
  if (orders) {
    const asks = await connect()
    asks.send('/closed')
    same(await receive(asks), '4001 bye')
    asks.close()
    await order('/close 4002 later', 4002, 'later')
    await order('/close 1011', 1011)
    await order('/vanish', 1006)
    await order(randomBytes(3 << 20), 1009) // more than the server takes
  }
  console.log('ok')
})()
