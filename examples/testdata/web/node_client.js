// What only the server of Node.js can do: node_client.js ADDRESS
'use strict'
const assert = require('node:assert')
const http = require('node:http')
const base = 'http://' + process.argv[2]

const read = async stream => {
  let text = ''
  for await (const piece of stream) text += piece
  return text
}
const call = (path, options = {}, prepare = request => request.end()) => new Promise((resolve, reject) => {
  const request = http.request(base + path, options, async response => resolve({request, response, body: await read(response)}))
  request.on('error', reject)
  prepare(request)
})

;(async () => {
  let hints
  const hinted = await call('/hints', {}, request => request.on('information', info => { hints = info }).end())
  assert.equal(hints?.statusCode, 103)
  assert.equal(hints.headers.link, '</style.css>; rel=preload; as=style')
  assert.equal(hinted.body, 'hello')

  const {response, body} = await call('/trailers')
  assert.equal(body, 'hello')
  assert.deepEqual({...response.trailers}, {'x-sum': '42'})

  const sent = await call('/sum', {method: 'POST', headers: {Trailer: 'x-note'}}, request => {
    request.write('hello')
    request.addTrailers({'x-note': 'behind it'})
    request.end()
  })
  assert.ok(sent.body.endsWith(' {"x-note":"behind it"}'), sent.body)

  // A refusal in the place of 100: the body is not sent.
  const refused = await call('/refuse', {method: 'POST', headers: {Expect: '100-continue', 'Content-Length': 5}}, request =>
    request.on('continue', () => assert.fail('it is told to go on')).flushHeaders())
  refused.request.destroy()
  assert.equal(refused.response.statusCode, 417)

  // Who goes away within an answer is gone for the server too.
  const abort = new AbortController()
  const begun = await fetch(base + '/abandoned/node', {signal: abort.signal})
  const reader = begun.body.getReader()
  assert.equal(Buffer.from((await reader.read()).value).toString(), 'hello')
  abort.abort()
  assert.equal((await call('/poll/node')).body, 'gone')
  console.log('ok')
})()
