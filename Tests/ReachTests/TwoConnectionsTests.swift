import Basics
import Foundation
import Link
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

@testable import Connector
@testable import Gateway

@Suite("A Connector with two connections", .timeLimit(.minutes(2)))
struct TwoConnectionsTests {
  /// A Host with two connections and one Instance that echoes.
  struct Pair {
    let scene: LinkScene
    let echo: any Channel
    let host: HostID
    let instance: InstanceID
    let runtime: EchoRuntime

    init() async throws {
      scene = try await LinkScene()
      echo = try await EchoServer.start()
      host = try await scene.enrol().host
      instance = InstanceID.make(at: Timestamp(.now))
      runtime = EchoRuntime(instance: instance, port: echo.localAddress?.port)
    }

    /// Waits until both slots were registered anew.
    func bothSlots() async throws -> [Hello] {
      var hellos: [Hello] = []
      while Set(hellos.map(\.slot)).count < 2 { hellos.append(try #require(await scene.delegate.nextHello())) }
      return hellos
    }

    /// Makes requests, four at a time, until `body` has ended; one that fails is thrown.
    ///
    /// - Returns: how many were answered.
    func requests(during body: @escaping @Sendable () async throws -> Void) async throws -> Int {
      let isOver = NIOLockedValueBox(false)
      let bytes = ByteBuffer(string: "a request")
      return try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<4 {
          group.addTask {
            var answered = 0
            while !isOver.withLockedValue({ $0 }) {
              let answer = try await exchange(scene.gateway, host, instance, bytes)
              #expect(answer == bytes)
              answered += 1
            }
            return answered
          }
        }
        group.addTask {
          defer { isOver.withLockedValue { $0 = true } }
          try await body()
          return 0
        }
        return try await group.reduce(0, +)
      }
    }

    func close() async throws {
      try await echo.close()
      await scene.close()
    }
  }

  @Test("the end of one costs only what was under way on it; the slot comes back and tells of its own loss")
  func oneBreaks() async throws {
    let pair = try await Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    let hellos = try await pair.bothSlots()
    #expect(hellos.allSatisfy { $0.connections == 2 && $0.previousLoss == nil })
    let gateway = pair.scene.gateway
    #expect(gateway.connections(of: pair.host) == 2)

    let (broken, bytes) = (try gateway.session(of: pair.host), ByteBuffer(string: "under way"))
    let stream = try await HeldStream.open(gateway, pair.host, pair.instance)
    #expect(try await stream.echo(bytes) == bytes)
    broken.channel.close(promise: nil)
    try await broken.channel.closeFuture.get()
    for _ in 0..<20 { #expect(try await exchange(gateway, pair.host, pair.instance, bytes) == bytes) }
    await #expect(throws: (any Error).self) { try await stream.echo(bytes) }
    let seen = try #require(await pair.scene.delegate.nextSeen())
    let again = try #require(await pair.scene.delegate.nextHello())
    #expect(seen.slot == again.slot && again.previousLoss?.slot == again.slot)
    #expect(seen.run == .init(connector: again.boot, kernel: again.hostBoot))
    #expect(gateway.connections(of: pair.host) == 2)
    await connector.cancel()
    try await pair.close()
  }

  @Test("new streams are spread over both")
  func spread() async throws {
    let pair = try await Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let gateway = pair.scene.gateway
    let bytes = ByteBuffer(string: "x")
    let streams = [
      try await HeldStream.open(gateway, pair.host, pair.instance),
      try await HeldStream.open(gateway, pair.host, pair.instance),
    ]
    for stream in streams { #expect(try await stream.echo(bytes) == bytes) }
    #expect(gateway.shared.withLockedValue { $0.sessions.values.compactMap(\.load) } == [1, 1])
    await connector.cancel()
    try await pair.close()
  }

  @Test("an AW Gateway that leaves costs no request: the other one has the next connection before the old one ends")
  func gatewayLeaves() async throws {
    let pair = try await Pair()
    let leaving = pair.scene.gateway
    let staying = try await LinkScene.gateway(pair.scene.authority, pair.scene.delegate, pair.scene.clock)
    let running = Running(staying)
    let connector = try pair.scene.connector(
      pair.runtime, connections: 2,
      gateways: [leaving, staying].map { GatewayEndpoint(address: "127.0.0.1", port: $0.port) })
    _ = try await pair.bothSlots()
    #expect(leaving.connections(of: pair.host) == 1 && staying.connections(of: pair.host) == 1)
    let bytes = ByteBuffer(string: "under way")
    let stream = try await HeldStream.open(leaving, pair.host, pair.instance)
    #expect(try await stream.echo(bytes) == bytes)
    async let drained: Void = pair.scene.drain()
    let next = try #require(await pair.scene.delegate.nextHello())
    #expect(next.slot == 0)
    #expect(staying.connections(of: pair.host) == 2)
    // What was under way still is, and what is new goes to the one that stays.
    #expect(try await stream.echo(bytes) == bytes)
    for _ in 0..<20 { #expect(try await exchange(staying, pair.host, pair.instance, bytes) == bytes) }
    #expect(throws: AWError(.hostOffline, "", next: "")) { try leaving.session(of: pair.host) }
    try await stream.close()
    await drained
    #expect(await pair.scene.delegate.nextLoss() == .gracefulDrain)
    await connector.cancel()
    await running.cancel()
    try await pair.close()
  }

  @Test("a second control plane gets the second connection before the first has let go of it, and that is no loss")
  func moves() async throws {
    let pair = try await Pair()
    let first = pair.scene.gateway
    let second = try await LinkScene.gateway(pair.scene.authority, pair.scene.delegate, pair.scene.clock, node: "b")
    let running = Running(second)
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let bytes = ByteBuffer(string: "under way")
    let streams = [
      try await HeldStream.open(first, pair.host, pair.instance),
      try await HeldStream.open(first, pair.host, pair.instance),
    ]
    for stream in streams { #expect(try await stream.echo(bytes) == bytes) }
    first.announce([
      .init(node: "a", address: "127.0.0.1", port: first.port),
      .init(node: "b", address: "127.0.0.1", port: second.port),
    ])
    let hello = try #require(await pair.scene.delegate.nextHello())
    #expect(hello.slot == 1 && hello.previousLoss == nil)
    #expect(second.connections(of: pair.host) == 1)
    for _ in 0..<20 { #expect(try await exchange(second, pair.host, pair.instance, bytes) == bytes) }
    // What was under way on the connection that moved ends in its own time.
    for stream in streams {
      #expect(try await stream.echo(bytes) == bytes)
      try await stream.close()
    }
    #expect(await pair.scene.delegate.nextMove() == pair.host)
    #expect(first.connections(of: pair.host) == 1)
    await connector.cancel()
    await running.cancel()
    try await pair.close()
  }

  @Test("a control plane whose dial failed gets its connection once it is there, although nobody tells of it")
  func movesLater() async throws {
    let pair = try await Pair()
    let (first, port) = (pair.scene.gateway, try FreePort.take())
    let gateways = [first.port, port].map { GatewayEndpoint(address: "127.0.0.1", port: $0) }
    let connector = try pair.scene.connector(pair.runtime, connections: 2, gateways: gateways)
    _ = try await pair.bothSlots()
    let second = try await LinkScene.gateway(
      pair.scene.authority, pair.scene.delegate, pair.scene.clock, port: port, node: "b")
    let running = Running(second)
    // Until then each try that fails ends where the link was.
    while second.connections(of: pair.host) == 0 {
      #expect(try #require(await pair.scene.delegate.nextHello()).slot == 1)
    }
    let bytes = ByteBuffer(string: "a request")
    #expect(try await exchange(second, pair.host, pair.instance, bytes) == bytes)
    await connector.cancel()
    await running.cancel()
    try await pair.close()
  }

  @Test("a Connector that leaves finishes what is under way, and another process takes over without a gap")
  func connectorLeaves() async throws {
    let pair = try await Pair()
    let gateway = pair.scene.gateway
    let first = try pair.scene.connector(pair.runtime, connections: 2)
    let old = try await pair.bothSlots()
    let bytes = ByteBuffer(string: "under way")
    let stream = try await HeldStream.open(gateway, pair.host, pair.instance)
    #expect(try await stream.echo(bytes) == bytes)
    let second = try pair.scene.connector(pair.runtime, connections: 2)
    async let hellos = pair.bothSlots()
    for _ in 0..<50 { #expect(try await exchange(gateway, pair.host, pair.instance, bytes) == bytes) }
    #expect(try await hellos.allSatisfy { $0.boot != old[0].boot })
    async let ended: Void = first.end()
    for _ in 0..<20 { #expect(try await exchange(gateway, pair.host, pair.instance, bytes) == bytes) }
    #expect(try await stream.echo(bytes) == bytes)
    // With the last stream the old process ends, and the new one has the Host.
    try await stream.close()
    await ended
    #expect(gateway.connections(of: pair.host) == 2)
    await second.cancel()
    try await pair.close()
  }

  @Test("a Connector that leaves for good says so on both connections")
  func shutdown() async throws {
    let pair = try await Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    await connector.end()
    var slots: Set<Int> = []
    for _ in 0..<2 {
      let seen = try #require(await pair.scene.delegate.nextSeen())
      #expect(LossClassifier.classify(seen).lossClass == .connectorShutdown)
      slots.insert(try #require(seen.slot))
    }
    #expect(slots == [0, 1])
    #expect(pair.scene.gateway.figures.missing == 2)
    #expect(!pair.scene.gateway.isConnected(pair.host))
    try await pair.close()
  }

  @Test("connections that are too old are made anew while they serve: no request fails, and no loss is told")
  func aged() async throws {
    let pair = try await Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    let hellos = try await pair.bothSlots()
    let gateway = pair.scene.gateway
    let old = gateway.shared.withLockedValue { Set($0.sessions.keys) }
    let (share, age) = (LinkLimits.connectionAgeShare, LinkLimits.connectionAgeMax)
    let young = gateway.shared.withLockedValue { Array($0.sessions.values) }
    #expect(young.allSatisfy { !$0.isAged(at: .now + age * (1 - share - 0.01)) })
    let requests = try await pair.requests {
      gateway.refreshAged(at: .now + age * (1 + share + 0.01))
      let next = try await pair.bothSlots()
      #expect(next.allSatisfy { hello in hellos.contains { $0.slot == hello.slot && $0.epoch < hello.epoch } })
      while gateway.shared.withLockedValue({ !old.isDisjoint(with: $0.sessions.keys) }) { await Task.yield() }
      #expect(gateway.connections(of: pair.host) == 2)
    }
    #expect(requests > 0)
    #expect(gateway.shared.withLockedValue { $0.losses.isEmpty })
    #expect(gateway.takeDrains().count == 2 && gateway.takeDrains().isEmpty)
    #expect(gateway.figures.missing == 0)
    #expect(gateway.figures.hostCertificateLeft.map { $0 > .seconds(3_600) && $0 <= Authority.hostLifetime } == true)
    await connector.cancel()
    try await pair.close()
  }

  @Test("a Host that is removed loses both connections at once, and its next dials are refused")
  func revoked() async throws {
    let pair = try await Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let began = ContinuousClock.now
    pair.scene.delegate.removed.withLockedValue { _ = $0.insert(pair.host) }
    pair.scene.gateway.disconnect(pair.host, reason: "the Host was removed")
    for _ in 0..<2 { #expect(await pair.scene.delegate.nextLoss() == .authRejected) }
    for _ in 0..<2 { #expect(await pair.scene.delegate.nextRefusal() == pair.host) }
    #expect(ContinuousClock.now - began < .seconds(5))
    #expect(!pair.scene.gateway.isConnected(pair.host))
    #expect(pair.scene.gateway.figures.missing == 0)
    await connector.cancel()
    try await pair.close()
  }
}
