import Basics
import Foundation
import Link
import Store
import TestSupport
import Testing
import Vault

@testable import Fleet

@Suite("The rotation of the links' authority, as a value")
struct AuthorityRotationTests {
  private let at = Timestamp(millisecondsSince1970: 0)
  private let hosts = (0..<7).map { _ in HostID.make(at: Timestamp(.now)) }

  private static func kept(_ name: String) throws -> KeptAuthority {
    KeptAuthority(
      fingerprint: name, reference: try .init("link/authority/" + name), notAfter: Timestamp(millisecondsSince1970: 9))
  }

  private func host(
    _ number: Int = 1, _ authorities: [String]?, issuer: String = "old", showsOther: Bool = false
  ) throws -> HostTrust {
    HostTrust(
      id: hosts[number], slug: try Slug("host-\(number)"),
      report: authorities.map { TrustReport(authorities: $0, issuer: issuer) }, isConnected: authorities != nil,
      showsOther: showsOther)
  }

  private func rotation(after steps: Int) throws -> AuthorityRotation {
    var rotation = AuthorityRotation(present: try Self.kept("old"), since: at)
    for _ in 0..<steps { try rotation.advance(with: [], fresh: try Self.kept("new"), at: at) }
    return rotation
  }

  @Test("four steps, and what is in use after each")
  func steps() throws {
    let expected: [(AuthorityRotation.Phase, [String], [String])] = [
      (.steady, ["old"], ["old"]), (.prepared, ["old"], ["old", "new"]), (.dualTrust, ["old", "new"], ["old", "new"]),
      (.switched, ["new", "old"], ["old", "new"]), (.steady, ["new"], ["new"]),
    ]
    for (taken, (phase, inUse, kept)) in expected.enumerated() {
      let rotation = try rotation(after: taken)
      #expect(rotation.phase == phase)
      #expect(rotation.inUse.map(\.fingerprint) == inUse)
      #expect(rotation.kept.map(\.fingerprint) == kept)
      let text = try JSONValue(encoding: rotation).canonical
      #expect(try JSONValue.decode(AuthorityRotation.self, from: text) == rotation)
    }
  }

  @Test("whom each step waits for, and why")
  func lacks() throws {
    let cases: [(HostTrust, [Laggard.Lack?])] = [
      (try host(1, nil), [nil, nil, .untold, .untold]),
      (try host(1, ["old"]), [nil, nil, .untrusting, .untrusting]),
      (try host(1, ["new", "old"]), [nil, nil, nil, .oldCertificate]),
      (try host(1, ["new", "old"], issuer: "new", showsOther: true), [nil, nil, nil, .oldConnection]),
      (try host(1, ["new", "old"], issuer: "new"), [nil, nil, nil, nil]),
    ]
    for (host, lacks) in cases {
      for (taken, lack) in lacks.enumerated() {
        var rotation = try rotation(after: taken)
        #expect(rotation.laggards(of: [host]).first?.why == lack)
        let before = rotation
        if lack == nil {
          #expect(throws: Never.self) { try rotation.advance(with: [host], fresh: try Self.kept("new"), at: at) }
        } else {
          #expect(throws: AWError(.authorityLaggards, "", next: "")) {
            try rotation.advance(with: [host], fresh: try Self.kept("new"), at: at)
          }
          #expect(rotation == before)
        }
      }
    }
  }

  @Test("an operator goes on without a laggard by name, once for the whole rotation; every other one still blocks")
  func without() throws {
    var rotation = try rotation(after: 2)
    let late = [try host(1, nil), try host(2, ["old"])]
    #expect(throws: AWError(.authorityLaggards, "", next: "")) {
      try rotation.advance(with: late, without: [late[0].slug], fresh: nil, at: at)
    }
    #expect(throws: AWError(.usage, "", next: "")) {
      try rotation.advance(with: late, without: [try Slug("host-3")], fresh: nil, at: at)
    }
    try rotation.advance(with: late, without: late.map(\.slug), fresh: nil, at: at)
    #expect(rotation.phase == .switched && rotation.laggards(of: late).isEmpty)
    try rotation.advance(with: late, fresh: nil, at: at)
    #expect(rotation.phase == .steady && rotation.without.isEmpty)
  }

  @Test("a rotation can be abandoned until the next authority signs; whoever was gone on without is waited for again")
  func abandon() throws {
    for steps in [1, 2] {
      var rotation = try rotation(after: steps)
      #expect(try rotation.abandon(at: at).fingerprint == "new")
      #expect(rotation == AuthorityRotation(present: try Self.kept("old"), since: at))
    }
    for steps in [0, 3, 4] {
      var rotation = try rotation(after: steps)
      let before = rotation
      #expect(throws: AWError(.conflict, "", next: "")) { try rotation.abandon(at: at) }
      #expect(rotation == before)
    }
  }

  @Test("a refusal names the first five, says why, and how to go on")
  func refusal() throws {
    var rotation = try rotation(after: 2)
    let late = try (0..<7).map { try host($0, nil) }
    let error = #expect(throws: AWError.self) { try rotation.advance(with: late, fresh: nil, at: at) }
    let text = try #require(error)
    #expect(text.message.contains("7 of the Hosts: host-0 (has not told whom it trusts), host-1"))
    #expect(text.message.contains("and 2 more") && !text.message.contains("host-5"))
    #expect(text.next.contains("aw ca rotate --without host-0"))
  }

  @Test("the first authority is made once and stays; keys that no rotation knows of are deleted at the next start")
  func keeper() async throws {
    try await TestStores.with(.sqlite, migrations: FleetRecords.migrations) { store in
      try await TestFolder.with { folder in
        let vault = try Vault.open(file: folder + "/vault", key: .fromFile(folder + "/vault.key"))
        let keeper = AuthorityKeeper(store: store, vault: vault)
        let now = Timestamp(.now)
        let first = try await keeper.take(at: now).fingerprint
        let orphan = try AuthorityKeeper.fresh(at: now)
        try await vault.put(orphan.secret, at: orphan.kept.reference)
        #expect(try await keeper.take(at: now).fingerprint == first)
        #expect(try await vault.references().map(\.text) == ["link/authority"])
      }
    }
  }
}
