// The clients of Node.js, http and fetch, and undici, which sends many requests at once, against one of the servers:
// http_client.js ADDRESS
'use strict'
const assert = require('node:assert')
const http = require('node:http')
const {createHash} = require('node:crypto')
const {Client} = require('undici')

const address = process.argv[2], base = 'http://' + address
const large = Buffer.alloc(16 << 20, '0123456789abcdef')
const sumOfLarge = `${large.length} ${createHash('sha256').update(large).digest('hex')}`
const agent = new http.Agent({keepAlive: true, maxSockets: 1})

const read = async stream => {
  const pieces = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}
const call = (path, options = {}, body) => new Promise((resolve, reject) => {
  const request = http.request(base + path, {agent, ...options}, async response =>
    resolve({request, response, body: await read(response)}))
  request.on('error', reject).end(body)
})

const keepAlive = async () => {
  for (let i = 0; i < 5; i++) {
    const {request, response, body} = await call('/')
    assert.equal(response.statusCode, 200)
    assert.equal(body.toString(), 'hello')
    assert.equal(request.reusedSocket, i > 0, 'the connection of the one before')
  }
  const head = await call('/bytes/1600', {method: 'HEAD'})
  assert.equal(head.response.headers['content-length'], '1600')
  assert.equal((await call('/bytes/1600')).request.reusedSocket, true)
}

const largeBodies = async () => {
  assert.ok((await call('/bytes/' + large.length)).body.equals(large))
  assert.equal((await call('/sum', {method: 'POST', headers: {'Content-Length': large.length}}, large)).body.toString(), sumOfLarge)
  assert.equal((await call('/sum', {method: 'PUT', headers: {'Transfer-Encoding': 'chunked'}}, large)).body.toString(), sumOfLarge)
}

// What is expected comes before the body is sent.
const expectContinue = () => new Promise((resolve, reject) => {
  const request = http.request(base + '/sum', {method: 'POST', headers: {Expect: '100-continue'}}, async response => {
    assert.equal((await read(response)).toString(), sumOfLarge)
    resolve()
  })
  request.on('error', reject).on('continue', () => request.end(large)).flushHeaders()
})

const byFetch = async () => {
  const texts = await Promise.all(Array.from({length: 200}, async (_, i) =>
    (await fetch(base + '/echo', {method: 'POST', body: `call ${i}`})).text()))
  assert.deepEqual(texts, Array.from({length: 200}, (_, i) => `call ${i}`))
  assert.ok(Buffer.from(await (await fetch(base + '/bytes/' + large.length)).arrayBuffer()).equals(large))
  assert.equal(await (await fetch(base + '/sum', {method: 'POST', body: large})).text(), sumOfLarge)

  // Each piece is sent when the one before has come back: request and answer are under way at once.
  const {readable, writable} = new TransformStream()
  const writer = writable.getWriter(), decoder = new TextDecoder()
  writer.write(Buffer.from('piece 0'))
  const response = await fetch(base + '/echo', {method: 'POST', body: readable, duplex: 'half'})
  let i = 0
  for await (const piece of response.body) {
    assert.equal(decoder.decode(piece), `piece ${i++}`)
    i < 20 ? writer.write(Buffer.from(`piece ${i}`)) : writer.close()
  }
  assert.equal(i, 20)
}

const pipelining = async () => {
  const client = new Client(base, {pipelining: 10})
  const bodies = await Promise.all(Array.from({length: 100}, async (_, i) =>
    (await (await client.request({path: `/bytes/${16 * i}`, method: 'GET'})).body.arrayBuffer()).byteLength))
  assert.deepEqual(bodies, Array.from({length: 100}, (_, i) => 16 * i))
  await client.close()
}

;(async () => {
  await keepAlive()
  await largeBodies()
  await expectContinue()
  await byFetch()
  await pipelining()
  agent.destroy()
  console.log('ok')
})()
