// Reads server-sent events, each of which is sent only when the one before has come: events_client.js ADDRESS NAME
'use strict'
const assert = require('node:assert')
const [address, name] = process.argv.slice(2)
const say = body => fetch(`http://${address}/next/${name}`, {method: 'POST', body})

;(async () => {
  const response = await fetch(`http://${address}/events/${name}`)
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  let text = '', i = 0
  await say('event 0')
  for await (const piece of response.body) {
    text += Buffer.from(piece)
    if (!text.endsWith('\n\n')) continue
    assert.equal(text, `data: event ${i++}\n\n`)
    text = ''
    await say(i < 20 ? `event ${i}` : 'end')
  }
  assert.equal(i, 20)
  assert.equal(text, '')
  console.log('ok')
})()
