import Basics
import Foundation
import Link
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Testing

@testable import Connector
@testable import Gateway

@Suite("A link over loopback", .timeLimit(.minutes(2)))
struct LinkTests {
  @Test("a machine enrols, links, answers runtime calls and carries bytes both ways")
  func thread() async throws {
    let scene = try await LinkScene()
    let echo = try await EchoServer.start()
    let state = try await scene.enrol()
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: echo.localAddress?.port))
    let hello = await scene.delegate.nextHello()
    #expect((hello?.epoch ?? 0) >= 1)
    let host = state.host

    let reply = try await scene.gateway.call(.logs(.process, instance, lines: 3), on: host, deadline: .seconds(5))
    guard case .lines(let lines) = reply else { return #expect(Bool(false), "\(reply)") }
    #expect(lines == ["line 1", "line 2", "line 3"])

    let spec = InstanceSpec(
      instance: instance, slug: try Slug("acme-main"), org: try Slug("acme"), runtime: .process, port: nil, image: nil,
      configuration: "{}")
    _ = try await scene.gateway.call(
      .prepare(spec, .init(["TOKEN": Secret("sentinel")])), on: host, deadline: .seconds(5))

    await #expect(throws: AWError(.runtimeDiskFull, "", next: "")) {
      try await scene.gateway.call(.remove(.process, instance, purge: false), on: host, deadline: .seconds(5))
    }
    await #expect(throws: AWError(.runtimeUnavailable, "", next: "")) {
      try await scene.gateway.call(.start(.docker, instance), on: host, deadline: .seconds(5))
    }

    let payload = ByteBuffer(repeating: 7, count: 3 << 20)
    #expect(try await exchange(scene.gateway, host, instance, payload) == payload)

    await #expect(throws: TargetRefused(.notFound)) {
      try await exchange(scene.gateway, host, InstanceID.make(at: Timestamp(.now)), ByteBuffer(string: "x"))
    }

    let told = await scene.delegate.nextHeartbeat()?.groups ?? []
    #expect(told.map(\.instances) == [[instance]] && told.map(\.facts.phase) == [.running])

    await connector.cancel()
    let loss = await scene.delegate.nextLoss()
    #expect(loss != nil)
    #expect(throws: AWError(.hostOffline, "", next: "")) { try scene.gateway.session(of: state.host) }
    try await echo.close()
    await scene.close()
  }

  @Test("many streams at once lose nothing", arguments: [1, 2, 3])
  func streams(round: Int) async throws {
    let scene = try await LinkScene()
    let echo = try await EchoServer.start()
    let state = try await scene.enrol()
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: echo.localAddress?.port))
    _ = await scene.delegate.nextHello()
    let host = state.host
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<40 {
        group.addTask {
          let payload = ByteBuffer(repeating: UInt8(number), count: 100_000 + number)
          return try await exchange(scene.gateway, host, instance, payload) == payload
        }
      }
      for try await same in group { #expect(same) }
    }
    await connector.cancel()
    try await echo.close()
    await scene.close()
  }

  @Test("a used token, an unknown token and a foreign authority are refused by name")
  func refusals() async throws {
    let scene = try await LinkScene()
    _ = try await scene.enrol()
    await #expect(throws: AWError(.enrolmentUsed, "", next: "")) { try await scene.enrol(name: "host-2") }
    await #expect(throws: AWError(.enrolmentInvalid, "", next: "")) {
      try await scene.enrol(token: "bad", name: "host-3")
    }
    let (stranger, _) = try Authority.make(at: Timestamp(.now))
    await #expect(throws: AWError(.linkForeignAuthority, "", next: "")) {
      try await Enrolment.enrol(
        directory: scene.directory + "/host-4", address: "127.0.0.1", port: scene.gateway.port,
        ticket: .init(fingerprint: try stranger.fingerprint, token: Secret("good-2")), program: "test",
        logger: Logger(label: "enrolment"))
    }
    await #expect(throws: AWError(.linkClockSkew, "", next: "")) {
      try await Enrolment.enrol(
        directory: scene.directory + "/host-5", address: "127.0.0.1", port: scene.gateway.port,
        ticket: .init(fingerprint: try scene.authority.fingerprint, token: Secret("good-3")), program: "test",
        clock: WallClock { Timestamp(.now).advanced(by: .seconds(-2 * 3_600)) }, logger: Logger(label: "enrolment"))
    }
    await scene.close()
  }

  @Test("a second Connector with the same identity takes over, and the first is closed as superseded")
  func takeOver() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let runtime = EchoRuntime(instance: InstanceID.make(at: Timestamp(.now)), port: nil)
    let first = try scene.connector(runtime)
    let earlier = try #require(await scene.delegate.nextHello()?.epoch)
    let old = try scene.gateway.session(of: state.host).connection
    await first.cancel()
    let second = try scene.connector(runtime)
    let later = try #require(await scene.delegate.nextHello()?.epoch)
    #expect(later > earlier)
    #expect(try scene.gateway.session(of: state.host).connection != old)
    await second.cancel()
    await scene.close()
  }

  @Test("a certificate past half of its life is renewed through the link, which stays up")
  func renewal() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let first = state.document.bundle.notAfter
    // Twenty of its twenty-four hours later, for both ends.
    scene.ahead.withLockedValue { $0 = .seconds(20 * 3_600) }
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(EchoRuntime(instance: instance, port: nil))
    _ = await scene.delegate.nextHello()
    var renewed = first
    while renewed <= first {
      renewed = try HostState.load(from: scene.directory + "/host-1").document.bundle.notAfter
    }
    #expect(renewed.since(first) > .seconds(19 * 3_600))
    // The same link, and the next one with the new certificate once the old one is past its end.
    #expect(scene.gateway.isConnected(state.host))
    scene.ahead.withLockedValue { $0 = .seconds(30 * 3_600) }
    await connector.cancel()
    _ = await scene.delegate.nextLoss()
    let again = try scene.connector(EchoRuntime(instance: instance, port: nil))
    #expect(await scene.delegate.nextHello() != nil)
    await again.cancel()
    await scene.close()
  }

  @Test("secrets in a call encode on the link only")
  func codec() throws {
    let environment = InstanceEnvironment(["TOKEN": Secret("sentinel")])
    #expect(throws: EncodingError.self) { try JSONEncoder().encode(environment) }
    #expect(String(buffer: try LinkCodec.encode(environment)).contains("sentinel"))
  }
}
