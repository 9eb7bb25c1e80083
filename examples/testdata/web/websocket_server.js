// Echoes messages by ws of Node.js. What begins with a slash is an order.
'use strict'
const {WebSocketServer} = require('ws')

const codes = [], waiting = [] // that clients have closed with, and who asks for them by /closed
const tell = () => { while (codes.length && waiting.length) waiting.shift().send(codes.shift()) }

const orders = {
  '/close': (socket, rest) => socket.close(Number(rest.slice(0, 4)), rest.slice(5)),
  '/fragments': (socket, rest) => {
    for (const word of rest.split(' ')) socket.send(word + ' ', {fin: false})
    socket.send('', {fin: true})
  },
  '/ping': (socket, rest) => socket.once('pong', payload => socket.send('pong ' + payload)).ping(rest),
  '/closed': socket => {
    waiting.push(socket)
    tell()
  },
  '/vanish': socket => socket.terminate(),
}

const server = new WebSocketServer({
  host: '::', port: 8084, maxPayload: 2 << 20, perMessageDeflate: true,
  handleProtocols: offered => offered.has('echo') ? 'echo' : false,
})
server.on('connection', socket => {
  let ordered = false
  socket.on('error', () => {}) // of a message that is too big: the socket is closed, which the client sees
  socket.on('message', (message, isBinary) => {
    const [, order, rest] = (!isBinary && /^(\/\w+) ?(.*)$/.exec(message)) || []
    if (!order) return socket.send(message, {binary: isBinary})
    ordered ||= order === '/close'
    orders[order](socket, rest)
  })
  socket.on('close', (code, reason) => {
    if (code < 4000 || ordered) return
    codes.push(`${code} ${reason}`)
    tell()
  })
})
