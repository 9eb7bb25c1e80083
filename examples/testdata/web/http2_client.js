// The client of HTTP/2 of Node.js against one of the servers: http2_client.js ADDRESS
'use strict'
const assert = require('node:assert')
const {once} = require('node:events')
const http2 = require('node:http2')
const {createHash} = require('node:crypto')

const address = process.argv[2]
const large = Buffer.alloc(16 << 20, '0123456789abcdef')
const sumOf = data => `${data.length} ${createHash('sha256').update(data).digest('hex')}`

const session = http2.connect('http://' + address)
const read = async stream => {
  const pieces = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}
const call = async (path, fields = {}, body) => {
  const stream = session.request({':path': path, ...fields}, {endStream: body === undefined})
  if (body !== undefined) stream.end(body)
  let head, trailers
  stream.on('response', got => { head = got }).on('trailers', got => { trailers = got })
  body = await read(stream)
  return {head, body, trailers}
}
const post = {':method': 'POST'}

;(async () => {
  const all = await Promise.all(Array.from({length: 200}, (_, i) => call(`/bytes/${16 * i}`)))
  assert.deepEqual(all.map(({body}) => body.length), Array.from({length: 200}, (_, i) => 16 * i))

  const head = await call('/bytes/1600', {':method': 'HEAD'})
  assert.equal(head.head['content-length'], '1600')
  assert.equal(head.body.length, 0)
  assert.ok((await call('/bytes/' + large.length)).body.equals(large))
  assert.equal((await call('/sum', post, large)).body.toString(), sumOf(large))
  assert.equal((await call('/sum', {...post, 'content-length': large.length}, large)).body.toString(), sumOf(large))
  assert.equal((await call('/sum', post, '')).body.toString(), sumOf(Buffer.alloc(0)))
  assert.equal((await call('/refuse', post, '')).head[':status'], 413)

  // Each piece is sent when the one before has come back: request and answer are under way at once.
  const echo = session.request({...post, ':path': '/echo'})
  let i = 0
  echo.write('piece 0')
  for await (const piece of echo) {
    assert.equal(piece.toString(), `piece ${i++}`)
    i < 20 ? echo.write(`piece ${i}`) : echo.end()
  }
  assert.equal(i, 20)

  // A stream that is not read holds up no other one.
  const slow = session.request({':path': '/bytes/' + large.length})
  await once(slow, 'response')
  assert.ok((await call('/bytes/' + large.length)).body.equals(large))
  assert.ok((await read(slow)).equals(large))

  if (address.startsWith('node')) {
    const {body, trailers} = await call('/trailers')
    assert.equal(body.toString(), 'hello')
    assert.equal(trailers['x-sum'], '42')

    const hinted = session.request({':path': '/hints'})
    const [hints] = await once(hinted, 'headers')
    assert.equal(hints[':status'], 103)
    assert.equal(hints.link, '</style.css>; rel=preload; as=style')
    assert.equal((await read(hinted)).toString(), 'hello')

    // Who cancels within an answer is gone for the server too.
    const cancelled = session.request({':path': '/abandoned/http2'})
    await once(cancelled, 'data')
    cancelled.close(http2.constants.NGHTTP2_CANCEL)
    assert.equal((await call('/poll/http2')).body.toString(), 'gone')
  }
  session.close()
  await once(session, 'close')
  console.log('ok')
})()
