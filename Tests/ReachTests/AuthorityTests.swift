import Basics
import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Testing
import X509

@testable import Connector
@testable import Gateway
@testable import Link

@Suite("Another authority takes over", .timeLimit(.minutes(2)))
struct AuthorityTests {
  @Test("no certificate outlives its lifetime, in whatever part of a second it is signed", arguments: [0, 499, 500, 999])
  func wholeSeconds(milliseconds: Int64) throws {
    let now = Timestamp(millisecondsSince1970: 1_795_800_000_000 + milliseconds)
    let (authority, _) = try Authority.make(at: now)
    #expect(authority.notAfter == now.wholeSecond.advanced(by: Authority.authorityLifetime))
    #expect(authority.notAfter <= now.advanced(by: Authority.authorityLifetime))
    let gateway = try authority.gatewayIdentity(at: now)
    #expect(gateway.notAfter == now.wholeSecond.advanced(by: Authority.gatewayLifetime))
  }

  @Test("while requests run over both connections: none fails, and the old one's certificates are refused in the end")
  func underLoad() async throws {
    let pair = try await TwoConnectionsTests.Pair()
    let before = try HostState.load(from: pair.scene.directory + "/host-1")
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let (gateway, old) = (pair.scene.gateway, pair.scene.authority)
    let (next, _) = try Authority.make(at: pair.scene.clock.now)
    let names = (old: try old.fingerprint, next: try next.fingerprint)
    let both = try Authorities(signer: old, trustingAlso: [next])

    let requests = try await pair.requests {
      try gateway.present(both)
      while let report = await pair.scene.delegate.nextReport(), Set(report.authorities) != both.fingerprints {}
      #expect(gateway.hosts(notShowing: names.old).isEmpty)

      try gateway.present(try Authorities(signer: next, trustingAlso: [old]))
      let hellos = try await pair.bothSlots()
      #expect(hellos.allSatisfy { $0.trust?.issuer == names.next })
      while !gateway.hosts(notShowing: names.next).isEmpty { await Task.yield() }

      try gateway.present(try Authorities(signer: next))
      while let report = await pair.scene.delegate.nextReport(), report.authorities.count != 1 {}
    }
    #expect(requests > 0)
    #expect(gateway.connections(of: pair.host) == 2)

    let after = try HostState.load(from: pair.scene.directory + "/host-1")
    let trust = try after.trust
    #expect(trust == TrustReport(authorities: [names.next], issuer: names.next))
    #expect(try await Self.opens(gateway, by: after, trusting: next))
    #expect(try await Self.opens(gateway, by: before, trusting: next) == false)
    await connector.cancel()
    try await pair.close()
  }

  @Test("a Host that has no certificate of the new one loses its link when the old one is retired")
  func laggard() async throws {
    let pair = try await TwoConnectionsTests.Pair()
    let connector = try pair.scene.connector(pair.runtime, connections: 2)
    _ = try await pair.bothSlots()
    let (next, _) = try Authority.make(at: pair.scene.clock.now)
    try pair.scene.gateway.present(try Authorities(signer: next))
    for _ in 0..<2 { #expect(await pair.scene.delegate.nextLoss() == .authRejected) }
    #expect(!pair.scene.gateway.isConnected(pair.host))
    await connector.cancel()
    try await pair.close()
  }

  @Test("what a connection needs", arguments: Need.all)
  func steps(_ need: Need) throws {
    let (one, _) = try Authority.make(at: Timestamp(.now))
    let (two, _) = try Authority.make(at: Timestamp(.now))
    let names = ["one": try one.fingerprint, "two": try two.fingerprint]
    let authorities = try Authorities(signer: two, trustingAlso: need.trusted == ["two"] ? [] : [one])
    let report = need.report.map { TrustReport(authorities: $0.compactMap { names[$0] }, issuer: names[need.issuer]) }
    #expect(authorities.step(for: report, shown: names[need.shown] ?? "") == need.step)
  }

  /// The second authority signs.
  struct Need: Sendable {
    let trusted: [String]
    let report: [String]?
    let issuer: String
    let shown: String
    let step: TrustStep

    static let all = [
      Need(trusted: ["one", "two"], report: nil, issuer: "", shown: "one", step: .settled),
      Need(trusted: ["one", "two"], report: ["one"], issuer: "one", shown: "one", step: .order),
      Need(trusted: ["one", "two"], report: ["one", "two"], issuer: "one", shown: "one", step: .order),
      Need(trusted: ["one", "two"], report: ["one", "two"], issuer: "two", shown: "one", step: .refresh),
      Need(trusted: ["one", "two"], report: ["two", "one"], issuer: "two", shown: "two", step: .settled),
      Need(trusted: ["two"], report: ["one", "two"], issuer: "two", shown: "two", step: .order),
      Need(trusted: ["two"], report: ["one", "two"], issuer: "two", shown: "one", step: .end),
      Need(trusted: ["two"], report: nil, issuer: "", shown: "one", step: .end),
      Need(trusted: ["two"], report: ["two"], issuer: "two", shown: "two", step: .settled),
    ]
  }

  /// Whether a Host of this identity is let in as far as the control stream.
  private static func opens(_ gateway: AWGateway, by state: HostState, trusting authority: Authority) async throws
    -> Bool
  {
    let tls = try LinkTLS.connector(
      identity: try state.key.identity(state.document.bundle), trust: .authorities([authority.certificate]),
      now: { WallClock.system.now })
    let dialer = Dialer(
      endpoint: .init(address: "127.0.0.1", port: gateway.port), proxy: nil, liveness: .init(), clock: .system,
      logger: Logger(label: "dialer"))
    let link: DialledLink
    do {
      link = try await dialer.link(tls, notes: NIOLockedValueBox(LossNotes()))
    } catch is DialFailure {
      return false
    }
    let stream = await link.streams.first { _ in true }
    link.channel.close(promise: nil)
    try await link.channel.closeFuture.get()
    return stream?.target == .control
  }
}
