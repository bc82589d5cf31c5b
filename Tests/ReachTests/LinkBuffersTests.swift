import Basics
import Foundation
import Logging
import NIOCore
import Testing

@testable import Connector
@testable import Gateway
@testable import Link

@Suite("What a connection holds for slow far ends", .timeLimit(.minutes(1)))
struct LinkBuffersTests {
  @Test("the ledger never goes below nothing, and gives up the newest of those that hold much")
  func ledger() {
    var ledger = BufferLedger()
    #expect(ledger.dispensable(under: .extreme) == nil)
    ledger.held(5, by: 1)
    #expect(ledger.total == 0, "a stream that is not open is not counted")
    for stream in [1, 3, 5] { ledger.open(stream) }
    ledger.released(7, by: 1)
    #expect(ledger.total == 0)
    ledger.held(1_000, by: 1)
    ledger.held(900, by: 3)
    ledger.held(10, by: 5)
    #expect(ledger.total == 1_910 && ledger.dispensable(under: .extreme) == 3)
    ledger.close(3)
    #expect(ledger.total == 1_010 && ledger.dispensable(under: .extreme) == 1)
    ledger.released(1_000, by: 1)
    #expect(ledger.total == 10 && ledger.dispensable(under: .extreme) == 5)
    ledger.close(5)
    ledger.close(5)
    #expect(ledger.total == 0 && ledger.dispensable(under: .extreme) == nil)
  }

  @Test("nothing is given up without need, and small streams only far above the limit")
  func pressure() {
    var ledger = BufferLedger()
    for stream in [1, 3, 5, 7] { ledger.open(stream) }
    ledger.held(LinkLimits.bulkBytesMin * 3, by: 1)
    ledger.held(LinkLimits.bulkBytesMin * 2, by: 3)
    ledger.held(LinkLimits.bulkBytesMin - 1, by: 5)
    ledger.held(1, by: 7)
    #expect(ledger.dispensable(under: .none) == nil)
    #expect(ledger.dispensable(under: .high) == 3)
    ledger.close(3)
    #expect(ledger.dispensable(under: .high) == 1)
    ledger.close(1)
    #expect(ledger.dispensable(under: .high) == nil)
    #expect(ledger.dispensable(under: .extreme) == 5)
    let expected: [(Int, BufferPressure)] = [
      (0, .none), (1_000, .none), (1_001, .high), (1_250, .high), (1_251, .extreme),
    ]
    for (held, pressure) in expected { #expect(BufferPressure.of(held, max: 1_000) == pressure) }
  }

  @Test("random work keeps the sum of the ledger right, and the budget with it")
  func sums() {
    var random = SystemRandomNumberGenerator()
    var ledger = BufferLedger()
    var model: [Int: Int] = [:]
    for _ in 0..<20_000 {
      let (stream, bytes) = (Int.random(in: 0..<8, using: &random), Int.random(in: 0..<100_000, using: &random))
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        ledger.open(stream)
        model[stream] = model[stream] ?? 0
      case 1:
        ledger.held(bytes, by: stream)
        model[stream] = model[stream].map { $0 + bytes }
      case 2:
        ledger.released(bytes, by: stream)
        model[stream] = model[stream].map { max(0, $0 - bytes) }
      default:
        ledger.close(stream)
        model[stream] = nil
      }
      #expect(ledger.total == model.values.reduce(0, +))
      if let given = ledger.dispensable(under: .extreme) { #expect((model[given] ?? 0) > 0) }
    }
  }

  @Test("a stream whose reader is too slow is given up; the others go on")
  func shed() async throws {
    let scene = try await LinkScene(bufferedBytesPerConnectorMax: 128 * 1_024)
    let echo = try await EchoServer.start()
    let state = try await scene.enrol()
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: echo.localAddress?.port))
    _ = await scene.delegate.nextHello()
    let slow = try await HeldStream.open(scene.gateway, state.host, instance)
    let small = ByteBuffer(string: "x")
    #expect(try await slow.echo(small) == small)
    try await slow.stopReading()
    let block = ByteBuffer(repeating: 1, count: 65_536)
    await #expect(throws: (any Error).self) { try await slow.sendUntilItEnds(block) }
    #expect(scene.gateway.figures.shed == 1)
    #expect(scene.gateway.figures.bufferedBytes == 0)
    // Less than the cap, so that it does not matter how fast it is read.
    let payload = ByteBuffer(repeating: 7, count: 50_000)
    #expect(try await exchange(scene.gateway, state.host, instance, payload) == payload)
    #expect(scene.gateway.isConnected(state.host))
    await connector.cancel()
    try await echo.close()
    await scene.close()
  }

  @Test("bulk that is sent to one who does not read is given up, the newest first; a small stream lives on")
  func shedOutbound() async throws {
    let scene = try await LinkScene(bufferedBytesPerConnectorMax: 16 << 20)
    let (echo, deaf) = (try await EchoServer.start(), try await DeafServer.start())
    let state = try await scene.enrol()
    let (small, bulk) = (InstanceID.make(at: Timestamp(.now)), InstanceID.make(at: Timestamp(.now)))
    let runtime = EchoRuntime(
      instance: small, port: echo.localAddress?.port, others: [bulk: deaf.localAddress?.port ?? 0])
    let connector = try scene.connector(runtime)
    _ = await scene.delegate.nextHello()
    let gateway = scene.gateway
    let lasting = try await HeldStream.open(gateway, state.host, small)
    let word = ByteBuffer(string: "x")
    #expect(try await lasting.echo(word) == word)
    // The first one's bytes are within the limit; with those of another one it is exceeded.
    let first = try await HeldStream.open(gateway, state.host, bulk)
    first.send(ByteBuffer(repeating: 1, count: 12 << 20))
    for _ in 0..<3 {
      let late = try await HeldStream.open(gateway, state.host, bulk)
      late.send(ByteBuffer(repeating: 1, count: 12 << 20))
      await #expect(throws: StreamShed.self) { try await late.ended() }
    }
    #expect(gateway.figures.shed == 3)
    #expect(gateway.figures.bufferedBytes > 0 && gateway.figures.bufferedBytes <= 16 << 20)
    #expect(try await lasting.echo(word) == word)
    try await first.close()
    while gateway.figures.bufferedBytes > 0 { await Task.yield() }
    #expect(gateway.figures.stalled > .zero)
    await connector.cancel()
    try await echo.close()
    try await deaf.close()
    await scene.close()
  }
}
