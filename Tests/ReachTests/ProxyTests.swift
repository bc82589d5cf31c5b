import Basics
import Foundation
import Link
import Logging
import NIOCore
import TestSupport
import Testing

@testable import Connector
@testable import Gateway

@Suite("A proxy on the Host's way out", .timeLimit(.minutes(1)))
struct ProxyTests {
  @Test("a URL names the proxy and its user; anything else is refused without repeating it")
  func url() throws {
    let proxy = try ForwardProxy(url: "http://me@proxy.example.com:3128", password: Secret("sentinel"))
    #expect(proxy.address == "proxy.example.com" && proxy.port == 3_128 && proxy.user == "me")
    let request = proxy.request(to: .init(address: "aw.example.com", port: 7_443)).withText { $0 }
    let credentials = Data("me:sentinel".utf8).base64EncodedString()
    #expect(
      request == "CONNECT aw.example.com:7443 HTTP/1.1\r\nHost: aw.example.com:7443\r\n"
        + "Proxy-Authorization: Basic \(credentials)\r\n\r\n")
    #expect(
      try ForwardProxy(url: "http://proxy").request(to: .init(address: "::1", port: 1)).withText { $0 }
        == "CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\n\r\n")
    for wrong in ["", "proxy:3128", "https://proxy", "socks5://proxy", "http://", "http://proxy/path"] {
      #expect(throws: AWError(.usage, "", next: "")) { try ForwardProxy(url: wrong) }
    }
    let error = #expect(throws: AWError.self) { try ForwardProxy(url: "https://me:sentinel@proxy") }
    #expect(error.map { !"\($0)".contains("sentinel") } ?? false)
  }

  @Test(
    "the environment's proxy leads everywhere but to its exceptions and to this machine",
    arguments: [
      ("aw.example.com", "", true), ("aw.example.com", "example.com", false), ("aw.example.com", ".example.com", false),
      ("example.com", ".example.com", false), ("notexample.com", "example.com", true),
      ("AW.example.com", "aw.example.com", false),
      ("aw.example.com", "other, aw.example.com", false), ("10.0.0.5", "10.0.0.5", false), ("10.0.0.5", "*", false),
      ("127.0.0.1", "", false), ("localhost", "", false), ("::1", "", false),
    ])
  func choice(address: String, exceptions: String, isProxied: Bool) throws {
    for names in [("https_proxy", "no_proxy"), ("HTTPS_PROXY", "NO_PROXY")] {
      let choice = try ProxyChoice(always: nil, environment: [names.0: "http://proxy:3128", names.1: exceptions])
      #expect((choice.proxy(to: address) != nil) == isProxied)
      let always = try ForwardProxy(url: "http://always")
      let asked = try ProxyChoice(always: always, environment: [names.0: "no URL", names.1: exceptions])
      #expect(asked.proxy(to: address)?.address == "always")
    }
    #expect(ProxyChoice.none.proxy(to: address) == nil)
  }

  @Test(
    "the head of an answer is read whole, in pieces, or refused",
    arguments: [
      ("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", 200), ("HTTP/1.0 407 No\r\n\r\n", 407),
    ])
  func answer(text: String, status: Int) throws {
    var whole = ByteBuffer(string: text)
    #expect(try ProxyAnswer.status(&whole) == status)
    #expect(whole.readableBytes == 0)
    for end in 0..<text.utf8.count {
      var part = ByteBuffer(bytes: text.utf8.prefix(end))
      #expect(try ProxyAnswer.status(&part) == nil)
    }
    for wrong in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1\r\n\r\n", String(repeating: "x", count: 20_000)] {
      var buffer = ByteBuffer(string: wrong)
      #expect(throws: ProxyRefused(failure: .other)) { try ProxyAnswer.status(&buffer) }
    }
  }

  @Test("a Host enrols and keeps both connections through a proxy that wants credentials")
  func through() async throws {
    let scene = try await LinkScene()
    let echo = try await EchoServer.start()
    let proxy = try await ConnectProxy.start(.wants("me:sentinel"))
    let proxies = try ProxyChoice(
      always: try ForwardProxy(url: "http://me@127.0.0.1:\(proxy.port)", password: Secret("sentinel")),
      environment: [:])
    let state = try await scene.enrol(proxies: proxies)
    let instance = InstanceID.make(at: Timestamp(.now))
    let connector = try scene.connector(
      EchoRuntime(instance: instance, port: echo.localAddress?.port), connections: 2, proxies: proxies)
    for _ in 0..<2 { #expect(await scene.delegate.nextHello() != nil) }
    let payload = ByteBuffer(repeating: 3, count: 1 << 20)
    #expect(try await exchange(scene.gateway, state.host, instance, payload) == payload)
    #expect(proxy.targets == Array(repeating: "127.0.0.1:\(scene.gateway.port)", count: 3))
    await connector.cancel()
    try await proxy.close()
    try await echo.close()
    await scene.close()
  }

  @Test(
    "a proxy that gives no connection is told by name, and as what it is",
    arguments: [
      (ConnectProxy.Manner.wants("me:other"), LossClass.authRejected, "407"), (.answers(403), .connectRefused, "403"),
      (.connects, .connectTimeout, "502"), (.answers(500), .connectRefused, "500"), (.isSilent, .connectTimeout, "4 s"),
    ])
  func refusal(manner: ConnectProxy.Manner, lossClass: LossClass, word: String) async throws {
    let proxy = try await ConnectProxy.start(manner)
    let dialer = Dialer(
      // Nothing listens on this port of the machine.
      endpoint: .init(address: "127.0.0.1", port: 1),
      proxy: try ForwardProxy(url: "http://me:sentinel@127.0.0.1:\(proxy.port)"), liveness: .init(), clock: .system,
      logger: Logger(label: "dialer"))
    let tls = try LinkTLS.connector(identity: nil, trust: .fingerprint(""), now: { WallClock.system.now })
    let failure = await #expect(throws: DialFailure.self) { _ = try await dialer.enrolment(tls) }
    let found = try #require(failure)
    #expect(found.explained.code == .linkProxyRefused && found.explained.message.contains(word))
    #expect(!"\(found.explained)".contains("sentinel"))
    #expect(LossClassifier.classify(found.seen).lossClass == lossClass)
    try await proxy.close()
  }

  @Test("something in between that opens TLS is told by the authority that it shows")
  func interception() async throws {
    let scene = try await LinkScene()
    let state = try await scene.enrol()
    let (stranger, _) = try Authority.make(at: Timestamp(.now), named: "Zscaler Root CA")
    let between = try await LinkScene.gateway(stranger, scene.delegate, scene.clock)
    let running = Running(between)
    let dialer = Dialer(
      endpoint: .init(address: "127.0.0.1", port: between.port), proxy: nil, liveness: .init(), clock: .system,
      logger: Logger(label: "dialer"))
    let tls = try LinkTLS.connector(
      identity: try state.key.identity(state.document.bundle), trust: .authorities([scene.authority.certificate]),
      now: { WallClock.system.now })
    let failure = await #expect(throws: DialFailure.self) { _ = try await dialer.enrolment(tls) }
    let found = try #require(failure)
    #expect(found.explained.code == .linkForeignAuthority && found.explained.message.contains("Zscaler Root CA"))
    #expect(found.seen.tls == .intercepted && found.seen.issuer == "Zscaler Root CA")
    #expect(LossClassifier.classify(found.seen).lossClass == .tlsFailed)
    await running.cancel()
    await scene.close()
  }
}
