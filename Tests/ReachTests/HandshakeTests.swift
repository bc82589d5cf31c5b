import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@testable import Gateway

@Suite("Handshakes of many Connectors at once")
struct HandshakeTests {
  // MARK: - The value

  @Test("so many go on, the others wait in the order they came, and who hangs up is passed over")
  func turns() {
    var turns = HandshakeTurns(goingMax: 2, waitingMax: 3)
    let asked = (0..<5).map { _ in turns.ask() }
    #expect(asked.map(\.hasCome) == [true, true, false, false, false] && turns.isFull)
    #expect(turns.end(asked[2].number) == nil && !turns.isFull)
    #expect(turns.end(asked[0].number) == asked[3].number)
    #expect(turns.end(asked[0].number) == nil, "a turn ends once")
    #expect(turns.end(asked[3].number) == asked[4].number)
    #expect(turns.end(asked[1].number) == nil && turns.end(asked[4].number) == nil)
    #expect(turns.going.isEmpty && turns.waiting.isEmpty)
  }

  @Test("whatever is asked and ended in whatever order, no more go on than may, and none waits while a place is free")
  func property() {
    for seed in 0..<200 as Range<UInt64> {
      var random = Seeded(state: seed)
      var turns = HandshakeTurns(goingMax: Int.random(in: 1...4, using: &random), waitingMax: 3)
      var (known, came): ([UInt64], Set<UInt64>) = ([], [])
      for _ in 0..<200 {
        if Bool.random(using: &random) {
          let (number, hasCome) = turns.ask()
          known.append(number)
          if hasCome { came.insert(number) }
        } else if let number = known.randomElement(using: &random), let next = turns.end(number) {
          #expect(came.insert(next).inserted, "a turn comes once")
        }
        #expect(turns.going.count <= turns.goingMax)
        #expect(turns.waiting.isEmpty || turns.going.count == turns.goingMax)
        #expect(turns.waiting == turns.waiting.sorted())
      }
    }
  }

  // MARK: - The handlers

  private func connection(_ queue: HandshakeQueue) throws -> (channel: EmbeddedChannel, turn: HandshakeQueue.Turn) {
    let turn = HandshakeQueue.Turn(queue)
    let channel = EmbeddedChannel()
    try channel.pipeline.syncOperations.addHandler(turn)
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    return (channel, turn)
  }

  private func read(_ channel: EmbeddedChannel) throws -> String {
    channel.embeddedEventLoop.run()
    var text = ""
    while let bytes = try channel.readInbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
    return text
  }

  @Test("what arrives is kept until the turn comes, and then passed on whole; who says nothing takes no place")
  func held() throws {
    let queue = HandshakeQueue(HandshakeTurns(goingMax: 1, waitingMax: 4))
    let (silent, first, second) = (try connection(queue), try connection(queue), try connection(queue))
    try first.channel.writeInbound(ByteBuffer(string: "one"))
    #expect(try read(first.channel) == "one")
    try second.channel.writeInbound(ByteBuffer(string: "t"))
    try second.channel.writeInbound(ByteBuffer(string: "wo"))
    #expect(try read(second.channel) == "")
    first.turn.finish(first.channel)
    #expect(try read(second.channel) == "two")
    try first.channel.writeInbound(ByteBuffer(string: "more"))
    #expect(try read(first.channel) == "more")
    for channel in [silent.channel, first.channel, second.channel] { _ = try channel.finish() }
  }

  @Test("a turn ends with the connection, and with its time: the handshake itself goes on")
  func lapse() throws {
    let queue = HandshakeQueue(HandshakeTurns(goingMax: 1, waitingMax: 4))
    let all = try (0..<4).map { _ in try connection(queue) }
    for one in all { try one.channel.writeInbound(ByteBuffer(string: "hello")) }
    #expect(try all.map { try read($0.channel) } == ["hello", "", "", ""])
    _ = try all[1].channel.finish()
    all[0].channel.embeddedEventLoop.advanceTime(by: .milliseconds(500))
    #expect(try [2, 3].map { try read(all[$0].channel) } == ["hello", ""])
    try all[0].channel.writeInbound(ByteBuffer(string: "late"))
    #expect(try read(all[0].channel) == "late")
    _ = try all[2].channel.finish()
    #expect(try read(all[3].channel) == "hello")
    for number in [0, 3] { _ = try all[number].channel.finish() }
  }

  @Test("a connection that sends more than a greeting while it waits is closed")
  func flood() throws {
    let queue = HandshakeQueue(HandshakeTurns(goingMax: 0, waitingMax: 4))
    let one = try connection(queue)
    try one.channel.writeInbound(ByteBuffer(repeating: 1, count: 16 * 1024))
    #expect(one.channel.isActive)
    try one.channel.writeInbound(ByteBuffer(repeating: 1, count: 1))
    #expect(!one.channel.isActive)
    _ = try one.channel.finish(acceptAlreadyClosed: true)
  }

  @Test("the door is shut while too many wait, and opens when one of them is gone")
  func door() throws {
    let queue = HandshakeQueue(HandshakeTurns(goingMax: 0, waitingMax: 1))
    let counter = ReadCounter()
    let listener = EmbeddedChannel()
    try listener.pipeline.syncOperations.addHandlers([counter, HandshakeQueue.Door(queue)])
    listener.read()
    #expect(counter.reads == 1)
    let one = try connection(queue)
    try one.channel.writeInbound(ByteBuffer(string: "hello"))
    listener.read()
    #expect(counter.reads == 1)
    _ = try one.channel.finish()
    listener.embeddedEventLoop.run()
    #expect(counter.reads == 2)
    listener.read()
    #expect(counter.reads == 3)
    _ = try listener.finish()
  }
}

/// Counts how often the listener asks for connections.
private final class ReadCounter: ChannelOutboundHandler {
  typealias OutboundIn = Never
  var reads = 0

  func read(context: ChannelHandlerContext) {
    reads += 1
    context.read()
  }
}
