// A server of HTTP by Node.js, with the paths of server.py, and what only this one can do.
'use strict'
const http = require('node:http')
const http2 = require('node:http2')
const {createHash} = require('node:crypto')

const turns = new Map() // by name: what somebody waits for, and what was said before anybody did
const turn = name => turns.get(name) ?? turns.set(name, {said: [], waiting: []}).get(name)
const say = (name, text) => {
  const {said, waiting} = turn(name)
  waiting.length ? waiting.shift()(text) : said.push(text)
}
const hear = name => new Promise(resolve => {
  const {said, waiting} = turn(name)
  said.length ? resolve(said.shift()) : waiting.push(resolve)
})
const read = async request => {
  const digest = createHash('sha256')
  let size = 0, text = ''
  for await (const piece of request) {
    digest.update(piece)
    size += piece.length
    if (size < 1000) text += piece
  }
  return {text, sum: `${size} ${digest.digest('hex')}`}
}

const answers = {
  '': (request, response) => response.end('hello'),
  bytes: (request, response, n) => {
    response.writeHead(200, {'Content-Length': n})
    response.end(Buffer.alloc(Number(n), '0123456789abcdef'))
  },
  sum: async (request, response) => {
    const {sum} = await read(request)
    response.end(sum + (Object.keys(request.trailers).length ? ' ' + JSON.stringify(request.trailers) : ''))
  },
  echo: (request, response) => request.pipe(response),
  next: async (request, response, name) => {
    say(name, (await read(request)).text)
    response.end('ok')
  },
  events: async (request, response, name) => {
    response.writeHead(200, {'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache'})
    response.flushHeaders()
    for (let text; (text = await hear(name)) !== 'end';) response.write(`data: ${text}\n\n`)
    response.end()
  },
  poll: async (request, response, name) => response.end(await hear(name)),
  refuse: (request, response) => response.writeHead(413).end('too large'),
  hints: (request, response) => {
    response.writeEarlyHints({link: '</style.css>; rel=preload; as=style'})
    response.end('hello')
  },
  trailers: (request, response) => {
    response.writeHead(200, {Trailer: 'x-sum'})
    response.write('hello')
    response.addTrailers({'x-sum': '42'})
    response.end()
  },
  // Who asks learns by /poll/NAME that this client has gone away.
  abandoned: (request, response, name) => {
    request.resume()
    response.on('close', () => say(name, 'gone')).write('hello')
  },
}
const answer = async (request, response) => {
  request.on('error', () => {}) // of a client that goes away within its request
  const [, kind, rest] = new URL(request.url, 'http://node.mesh').pathname.split('/')
  try {
    await answers[kind](request, response, rest)
  } catch {
    // The same.
  }
}
const server = http.createServer(answer)
const server2 = http2.createServer({maxSessionMemory: 1000}, answer) // 10 MB are less than a client may leave unread
// A client that expects it is told to go on, or, of this path, not to.
const askedToContinue = (request, response) => {
  if (request.url === '/refuse') return response.writeHead(417).end('keep it')
  response.writeContinue()
  answer(request, response)
}
server.on('checkContinue', askedToContinue)
server2.on('checkContinue', askedToContinue)
server.keepAliveTimeout = 0 // none
server.listen(8082, '::')
server2.listen(8090, '::')
