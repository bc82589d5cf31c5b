import Basics
import Foundation
import Logging
import NIOCore
import Testing

@testable import Connector
@testable import Gateway
@testable import Link

@Suite("What a connection holds for slow readers", .timeLimit(.minutes(1)))
struct ReceiveBuffersTests {
  private static func frame(_ type: UInt8, _ stream: UInt32, _ length: Int) -> [UInt8] {
    [UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, 0]
      + (0..<4).map { UInt8(stream >> (24 - 8 * UInt32($0)) & 0xff) } + [UInt8](repeating: 0, count: length)
  }

  @Test("data is counted by its stream, wherever the bytes are cut", arguments: [1, 2, 7, 9, 10, 64, 100_000])
  func meter(piece: Int) {
    let preface = [UInt8]("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    let frames =
      Self.frame(4, 0, 18) + Self.frame(1, 3, 40) + Self.frame(0, 3, 70_000) + Self.frame(6, 0, 8)
      + Self.frame(0, 5, 0) + Self.frame(0, 5, 300) + Self.frame(0, 0x8000_0003, 1)
    var meter = FrameMeter(skipping: FrameMeter.prefaceBytes)
    var counted: [Int: Int] = [:]
    var rest = ByteBuffer(bytes: preface + frames)
    while let part = rest.readSlice(length: min(piece, rest.readableBytes)), part.readableBytes > 0 {
      meter.read(part) { counted[$1, default: 0] += $0 }
    }
    #expect(counted == [3: 70_001, 5: 300])
  }

  @Test("the ledger never goes below nothing, and gives up the newest of those that hold much")
  func ledger() {
    var ledger = BufferLedger()
    #expect(ledger.dispensable == nil)
    ledger.arrived(5, on: 1)
    #expect(ledger.total == 0, "a stream that is not open is not counted")
    for stream in [1, 3, 5] { ledger.open(stream) }
    ledger.taken(7, from: 1)
    #expect(ledger.total == 0)
    ledger.arrived(1_000, on: 1)
    ledger.arrived(900, on: 3)
    ledger.arrived(10, on: 5)
    #expect(ledger.total == 1_910 && ledger.dispensable == 3)
    ledger.close(3)
    #expect(ledger.total == 1_010 && ledger.dispensable == 1)
    ledger.taken(1_000, from: 1)
    #expect(ledger.total == 10 && ledger.dispensable == 5)
    ledger.close(5)
    ledger.close(5)
    #expect(ledger.total == 0 && ledger.dispensable == nil)
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
        ledger.arrived(bytes, on: stream)
        model[stream] = model[stream].map { $0 + bytes }
      case 2:
        ledger.taken(bytes, from: stream)
        model[stream] = model[stream].map { max(0, $0 - bytes) }
      default:
        ledger.close(stream)
        model[stream] = nil
      }
      #expect(ledger.total == model.values.reduce(0, +))
      if let given = ledger.dispensable { #expect((model[given] ?? 0) > 0) }
    }
  }

  @Test("a stream whose reader is too slow is given up; the others go on")
  func shed() async throws {
    let scene = try await LinkScene(bufferedBytesPerConnectionMax: 128 * 1_024)
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
}
