import Basics
import Evidence
import Foundation
import Store
import TestSupport
import Testing

@testable import Access

@Suite("API tokens, and what the database knows")
struct TokenTests {
  let password = Secret("lamp orbit tuesday fig")
  let day = Duration.seconds(86_400)

  @Test("a token works with the rights of its role until it expires")
  func expiry() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let made = try await world.service.makeToken(
        Slug("ci"), role: .viewer, lifetime: day, as: .operator(owner.operator.id))
      let holder = try await world.service.authenticate(token: made.secret)
      #expect(holder.role == .viewer)
      #expect(holder.operator.id == owner.operator.id)
      #expect(try await world.service.operators(as: holder.actor).count == 1)
      let inviting = await code { _ = try await world.service.invite(Slug("x"), role: .viewer, as: holder.actor) }
      #expect(inviting == .forbidden)
      world.clock.advance(day)
      #expect(await code { _ = try await world.service.authenticate(token: made.secret) } == .unauthenticated)
      #expect(await code { _ = try await world.service.operators(as: holder.actor) } == .forbidden)
    }
  }

  @Test("a token has at most the role of its operator, which is recorded when it is tried")
  func roleBound() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let vera = try await world.member("vera", password: password, by: owner)
      let actor = Actor.operator(vera.id)
      let above = await code {
        _ = try await world.service.makeToken(Slug("t"), role: .owner, lifetime: day, as: actor)
      }
      #expect(above == .forbidden)
      #expect(try await world.entries().last?.data["by"] == "rule")
      _ = try await world.service.makeToken(Slug("t"), role: .viewer, lifetime: day, as: actor)
      for lifetime in [Duration.zero, .seconds(367 * 86_400)] {
        let refused = await code {
          _ = try await world.service.makeToken(Slug("t"), role: .viewer, lifetime: lifetime, as: actor)
        }
        #expect(refused == .usage)
      }
    }
  }

  @Test("tokens cannot be made by tokens or by AW itself")
  func peopleOnly() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let made = try await world.service.makeToken(
        Slug("ci"), role: .owner, lifetime: day, as: .operator(owner.operator.id))
      for actor in [Actor.apiToken(made.token.id), .system("x")] {
        let refused = await code {
          _ = try await world.service.makeToken(Slug("t"), role: .viewer, lifetime: day, as: actor)
        }
        #expect(refused == .forbidden)
      }
      #expect(try await world.count("access_token") == 1)
    }
  }

  @Test("a mistyped, unknown or revoked token is refused; owners revoke any, others their own")
  func refused() async throws {
    try await AccessWorld.with { world in
      let service = world.service
      let owner = try await world.owner()
      let vera = try await world.member("vera", password: password, by: owner)
      let hers = try await service.makeToken(Slug("hers"), role: .viewer, lifetime: day, as: .operator(vera.id))
      let his = try await service.makeToken(
        Slug("his"), role: .owner, lifetime: day, as: .operator(owner.operator.id))
      let mistyped = hers.secret.withText { Secret(String($0.dropLast()) + ($0.hasSuffix("A") ? "B" : "A")) }
      for wrong in [mistyped, Secret("aw_"), Secret(TokenText.compose([UInt8].random(count: 32)))] {
        #expect(await code { _ = try await service.authenticate(token: wrong) } == .unauthenticated)
      }
      #expect(try await service.tokens(as: .operator(vera.id)).map(\.id) == [hers.token.id])
      #expect(try await service.tokens(as: .operator(owner.operator.id)).count == 2)
      #expect(await code { try await service.revokeToken(his.token.id, as: .operator(vera.id)) } == .forbidden)
      _ = try await service.authenticate(token: hers.secret)
      try await service.revokeToken(hers.token.id, as: .operator(owner.operator.id))
      #expect(await code { _ = try await service.authenticate(token: hers.secret) } == .unauthenticated)
    }
  }

  @Test("the last use of a token is known to the minute")
  func lastUsed() async throws {
    try await AccessWorld.with { world in
      let actor = Actor.operator(try await world.owner().operator.id)
      let made = try await world.service.makeToken(Slug("ci"), role: .viewer, lifetime: day, as: actor)
      func used() async throws -> Timestamp? { try await world.service.tokens(as: actor).first?.usedAt }
      #expect(try await used() == nil)
      let first = world.clock.wall.now
      _ = try await world.service.authenticate(token: made.secret)
      world.clock.advance(.seconds(59))
      _ = try await world.service.authenticate(token: made.secret)
      #expect(try await used() == first)
      world.clock.advance(.seconds(1))
      _ = try await world.service.authenticate(token: made.secret)
      #expect(try await used() == first.advanced(by: .seconds(60)))
    }
  }

  @Test("dry runs of every act of access change nothing")
  func dryRuns() async throws {
    try await AccessWorld.with { world in
      let service = world.service
      let owner = try await world.owner()
      let vera = try await world.member("vera", password: password, by: owner)
      let actor = Actor.operator(owner.operator.id)
      let made = try await service.makeToken(Slug("ci"), role: .viewer, lifetime: day, as: actor)
      let before = try await world.kinds()
      let link = try await service.invite(Slug("x"), role: .viewer, as: actor, dryRun: true)
      _ = try await service.signInLink(for: Slug("anna"), reason: "setup", dryRun: true)
      _ = try await service.makeToken(Slug("t"), role: .viewer, lifetime: day, as: actor, dryRun: true)
      try await service.revokeToken(made.token.id, as: actor, dryRun: true)
      try await service.suspend(vera.id, as: actor, dryRun: true)
      #expect(try await world.kinds() == before)
      #expect(await code { try await service.setPassword(password, link: link.secret) } == .linkInvalid)
      _ = try await service.authenticate(token: made.secret)
      _ = try await world.signIn("vera", password)
    }
  }

  @Test("the whole way from the first link to the last token works on every engine", arguments: TestEngine.available)
  func everyEngine(engine: TestEngine) async throws {
    try await AccessWorld.with(engine) { world in
      let service = world.service
      let owner = try await world.owner()
      let actor = Actor.operator(owner.operator.id)
      let vera = try await world.member("vera", password: password, by: owner)
      let session = try await world.signIn("vera", password)
      world.clock.advance(.seconds(120))
      _ = try await service.authenticate(session: session.secret)
      try await service.changePassword(
        to: Secret("seven green kettles sing"), current: password, session: session.secret)
      let token = try await service.makeToken(Slug("ci"), role: .viewer, lifetime: day, as: .operator(vera.id))
      let holder = try await service.authenticate(token: token.secret)
      #expect(
        await code { _ = try await service.makeToken(Slug("t"), role: .viewer, lifetime: day, as: holder.actor) }
          == .forbidden)
      #expect(try await service.tokens(as: actor).map(\.id) == [token.token.id])
      #expect(try await service.tokens(as: .operator(vera.id)).map(\.id) == [token.token.id])
      #expect(await code { _ = try await service.invite(Slug("vera"), role: .owner, as: actor) } == .conflict)
      _ = try await service.invite(Slug("viktor"), role: .viewer, as: actor, dryRun: true)
      try await service.revokeToken(token.token.id, as: actor)
      try await service.endSession(session.session.id, of: vera.id)
      try await service.suspend(vera.id, as: actor)
      #expect(await code { _ = try await service.authenticate(session: session.secret) } == .unauthenticated)
      #expect(try await service.operators(as: actor).map(\.name.text) == ["anna", "vera"])
      #expect(try await service.sweep() == 0)
      #expect(
        try await world.kinds() == [
          "operator.sign-in-link-made", "operator.signed-in", "operator.invited", "operator.password-set",
          "operator.signed-in", "operator.password-set", "token.made", "act.refused", "token.revoked",
          "session.ended", "operator.suspended",
        ])
    }
  }

  @Test("no secret is in the bytes of the database: not raw, not in hexadecimal, not in Base64")
  func sentinels() async throws {
    try await AccessWorld.with { world in
      let service = world.service
      let owner = try await world.owner()
      let actor = Actor.operator(owner.operator.id)
      let signIn = try await service.signInLink(for: Slug("anna"), reason: "setup")
      let invitation = try await service.invite(Slug("vera"), role: .viewer, as: actor)
      let typed = Secret("sentinel of the typed kind")
      try await service.setPassword(typed, link: invitation.secret)
      let session = try await world.signIn("vera", typed)
      let token = try await service.makeToken(Slug("ci"), role: .owner, lifetime: day, as: actor)
      _ = try await service.authenticate(token: token.secret)
      let pending = try await service.invite(Slug("viktor"), role: .viewer, as: actor)
      let csrf = Secret(service.csrfToken(session: session.secret))
      _ = await code { _ = try await world.signIn("vera", Secret("a wrong sentinel password")) }

      let haystack = try world.databaseBytes()
      #expect(haystack.range(of: Data("vera".utf8)) != nil, "the search finds what is there")
      let secrets = [
        owner.secret, signIn.secret, invitation.secret, typed, session.secret, token.secret, pending.secret, csrf,
        Secret("a wrong sentinel password"), Secret("csrf key of the tests, 32 bytes."),
      ]
      for secret in secrets {
        for needle in TokenTests.forms(of: secret) { #expect(haystack.range(of: needle) == nil) }
      }
    }
  }

  /// The text, the bytes it encodes when it is Base64, and both in hexadecimal and Base64.
  private static func forms(of secret: Secret) -> [Data] {
    let text = secret.withText { $0 }
    let body = text.hasPrefix("aw_") ? String(text.dropFirst(3).dropLast(6)) : text
    let values = [Array(text.utf8), Array(body.utf8)] + [Base64URL.decode(body)].compactMap { $0 }
    return values.flatMap { bytes in
      [
        Data(bytes), Data(Hex.encode(bytes).utf8), Data(Hex.encode(bytes).uppercased().utf8),
        Data(Base64URL.encode(bytes).utf8), Data(Data(bytes).base64EncodedString().utf8),
      ]
    }
  }
}
