import Basics
import Foundation
import Store
import Testing

@testable import Access

@Suite("Ways in, sessions and passwords")
struct SignInTests {
  let password = Secret("lamp orbit tuesday fig")

  @Test("the first owner signs in by link once, and the link is dead afterwards")
  func firstOwner() async throws {
    try await AccessWorld.with { world in
      let link = try await world.service.signInLink(for: Slug("anna"), reason: "setup")
      let opened = try await world.service.signIn(link: link.secret, client: "Firefox\n on Linux")
      #expect(opened.operator.role == .owner)
      #expect(opened.operator.state == .active)
      #expect(opened.session.client == "Firefox on Linux")
      #expect(try await world.service.authenticate(session: opened.secret).operator.name.text == "anna")
      #expect(await code { _ = try await world.service.signIn(link: link.secret, client: "") } == .linkInvalid)
      #expect(try await world.kinds() == ["operator.sign-in-link-made", "operator.signed-in"])
      let other = await code { _ = try await world.service.signInLink(for: Slug("eve"), reason: "setup") }
      #expect(other == .conflict)
    }
  }

  @Test("of many uses of one link at once exactly one gets in")
  func race() async throws {
    try await AccessWorld.with { world in
      let link = try await world.service.signInLink(for: Slug("anna"), reason: "setup")
      let wins = await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<8 {
          group.addTask { await code { _ = try await world.service.signIn(link: link.secret, client: "") } == nil }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(wins == 1)
    }
  }

  @Test("a sign-in link ends after 15 minutes, and when a newer one is made")
  func linkExpiry() async throws {
    try await AccessWorld.with { world in
      let service = world.service
      let first = try await service.signInLink(for: Slug("anna"), reason: "setup")
      let second = try await service.signInLink(for: Slug("anna"), reason: "setup")
      #expect(await code { _ = try await service.signIn(link: first.secret, client: "") } == .linkInvalid)
      world.clock.advance(.seconds(15 * 60))
      #expect(await code { _ = try await service.signIn(link: second.secret, client: "") } == .linkInvalid)
      #expect(await code { _ = try await service.signIn(link: Secret("nothing"), client: "") } == .linkInvalid)
      #expect(try await world.count("access_session") == 0)
    }
  }

  @Test("an invitation sets the password once, within 24 hours, and is no sign-in link")
  func invitation() async throws {
    try await AccessWorld.with { world in
      let (service, owner) = (world.service, try await world.owner())
      let actor = Actor.operator(owner.operator.id)
      let late = try await service.invite(Slug("vera"), role: .viewer, as: actor)
      world.clock.advance(.seconds(24 * 3_600))
      #expect(await code { try await service.setPassword(password, link: late.secret) } == .linkInvalid)
      let link = try await service.invite(Slug("vera"), role: .viewer, as: actor)
      #expect(await code { _ = try await service.signIn(link: link.secret, client: "") } == .linkInvalid)
      #expect(await code { try await service.setPassword(Secret("short"), link: link.secret) } == .passwordWeak)
      #expect(try await service.invitee(link: link.secret).name.text == "vera")
      let vera = try await service.setPassword(password, link: link.secret)
      #expect(vera.state == .active && vera.hasPassword)
      #expect(await code { try await service.setPassword(password, link: link.secret) } == .linkInvalid)
      #expect(await code { _ = try await service.invite(Slug("vera"), role: .viewer, as: actor) } == .conflict)
      #expect(try await world.signIn("vera", password).operator.role == .viewer)
    }
  }

  @Test("a wrong password, an unknown name and a suspended operator get one answer")
  func wrongPassword() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let vera = try await world.member("vera", password: password, by: owner)
      var answers: [String] = []
      func refused(_ name: String, _ password: Secret) async {
        do {
          _ = try await world.signIn(name, password)
          Issue.record("\(name) got in")
        } catch {
          answers.append("\(error)")
        }
      }
      await refused("vera", Secret("lamp orbit tuesday fog"))
      await refused("nobody", password)
      await refused("No Name!", password)
      await refused("anna", password)
      let session = try await world.signIn("vera", password)
      try await world.service.suspend(vera.id, as: .operator(owner.operator.id))
      await refused("vera", password)
      #expect(Set(answers).count == 1)
      #expect(await code { _ = try await world.service.authenticate(session: session.secret) } == .unauthenticated)
    }
  }

  @Test("a name is locked after 10 attempts, released with time, and others are not touched")
  func lockout() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      _ = try await world.member("vera", password: password, by: owner)
      _ = try await world.member("viktor", password: password, by: owner)
      for index in 0..<10 {
        let wrong = await code { _ = try await world.signIn("vera", Secret("wrong"), from: "192.0.2.\(index)") }
        #expect(wrong == .unauthenticated)
      }
      #expect(await code { _ = try await world.signIn("vera", password) } == .rateLimited)
      _ = try await world.signIn("viktor", password)
      world.clock.advance(.seconds(60))
      _ = try await world.signIn("vera", password)
      _ = try await world.signIn("vera", password)
    }
  }

  @Test("an address is slowed down over all names")
  func addressLimit() async throws {
    try await AccessWorld.with { world in
      for index in 0..<30 {
        #expect(await code { _ = try await world.signIn("n\(index)", Secret("wrong")) } == .unauthenticated)
      }
      #expect(await code { _ = try await world.signIn("fresh", Secret("wrong")) } == .rateLimited)
      let elsewhere = await code { _ = try await world.signIn("fresh", Secret("wrong"), from: "192.0.2.2") }
      #expect(elsewhere == .unauthenticated)
    }
  }

  @Test("a session ends when it was idle for 12 hours")
  func idle() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      world.clock.advance(.seconds(12 * 3_600 - 1))
      _ = try await world.service.authenticate(session: owner.secret)
      world.clock.advance(.seconds(12 * 3_600 - 1))
      _ = try await world.service.authenticate(session: owner.secret)
      world.clock.advance(.seconds(12 * 3_600))
      #expect(await code { _ = try await world.service.authenticate(session: owner.secret) } == .unauthenticated)
      #expect(try await world.service.sessions(of: owner.operator.id).isEmpty)
    }
  }

  @Test("a session ends after 7 days of use")
  func absolute() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      for _ in 0..<27 {
        world.clock.advance(.seconds(6 * 3_600))
        _ = try await world.service.authenticate(session: owner.secret)
      }
      world.clock.advance(.seconds(6 * 3_600))
      #expect(await code { _ = try await world.service.authenticate(session: owner.secret) } == .unauthenticated)
    }
  }

  @Test("a session that was ended is gone at once, and only its owner can end it")
  func revoked() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let vera = try await world.member("vera", password: password, by: owner)
      let (first, second) = (try await world.signIn("vera", password), try await world.signIn("vera", password))
      #expect(try await world.service.sessions(of: vera.id).count == 2)
      let foreign = await code {
        try await world.service.endSession(first.session.id, of: owner.operator.id)
      }
      #expect(foreign == .notFound)
      try await world.service.endSession(first.session.id, of: vera.id)
      #expect(await code { _ = try await world.service.authenticate(session: first.secret) } == .unauthenticated)
      #expect(try await world.service.sessions(of: vera.id).map(\.id) == [second.session.id])
    }
  }

  @Test("changing the password asks for the old one and ends the other sessions")
  func changePassword() async throws {
    try await AccessWorld.with { world in
      let service = world.service
      let owner = try await world.owner()
      try await service.changePassword(to: password, current: nil, session: owner.secret)
      let other = try await world.signIn("anna", password)
      let new = Secret("seven green kettles sing")
      let without = await code { try await service.changePassword(to: new, current: nil, session: other.secret) }
      #expect(without == .unauthenticated)
      try await service.changePassword(to: new, current: password, session: other.secret)
      _ = try await service.authenticate(session: other.secret)
      #expect(await code { _ = try await service.authenticate(session: owner.secret) } == .unauthenticated)
      #expect(await code { _ = try await world.signIn("anna", password) } == .unauthenticated)
      _ = try await world.signIn("anna", new)
    }
  }

  @Test("an owner who lost the password gets in by a link made on the machine and sets a new one")
  func recovery() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      try await world.service.changePassword(to: password, current: nil, session: owner.secret)
      let again = try await world.owner()
      #expect(!again.operator.hasPassword)
      try await world.service.changePassword(
        to: Secret("seven green kettles sing"), current: nil, session: again.secret)
      #expect(await code { _ = try await world.signIn("anna", password) } == .unauthenticated)
    }
  }

  @Test("a password hashed at an older price is hashed again when its owner signs in")
  func renewedCost() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let vera = try await world.member("vera", password: password, by: owner)
      let dearer = AccessService(
        store: world.store, acts: world.acts, csrfKey: Secret("k"), clock: world.clock.wall,
        logger: world.service.logger, hasher: PasswordHasher(cost: ScryptCost(ln: 11)))
      _ = try await dearer.signIn(name: "vera", password: password, address: "a", client: "")
      let stored = try await world.store.read { tx in try AccessRecords.password(of: vera.id, in: tx) }
      #expect(stored?.hasPrefix("$scrypt$ln=11,") == true)
      _ = try await world.signIn("vera", password)
    }
  }

  @Test("sweeping removes only what ended long ago")
  func sweep() async throws {
    try await AccessWorld.with { world in
      _ = try await world.owner()
      world.clock.advance(.seconds(30 * 86_400))
      #expect(try await world.service.sweep() == 0)
      world.clock.advance(.seconds(8 * 86_400))
      let fresh = try await world.owner()
      #expect(try await world.service.sweep() == 2)
      #expect(try await world.service.sweep() == 0)
      _ = try await world.service.authenticate(session: fresh.secret)
    }
  }

  @Test("a form token belongs to one session")
  func csrf() async throws {
    try await AccessWorld.with { world in
      let (first, second) = (try await world.owner(), try await world.owner())
      let token = world.service.csrfToken(session: first.secret)
      try world.service.checkCSRF(token, session: first.secret)
      #expect(await code { try world.service.checkCSRF(token, session: second.secret) } == .csrf)
      #expect(await code { try world.service.checkCSRF("", session: first.secret) } == .csrf)
    }
  }

  @Test("the last owner cannot be suspended, nor can anybody suspend themselves")
  func lastOwner() async throws {
    try await AccessWorld.with { world in
      let owner = try await world.owner()
      let mine = Actor.operator(owner.operator.id)
      #expect(await code { try await world.service.suspend(owner.operator.id, as: mine) } == .conflict)
      #expect(await code { try await world.service.suspend(owner.operator.id, as: .system("x")) } == .conflict)
      let olga = try await world.member("olga", role: .owner, password: password, by: owner)
      try await world.service.suspend(owner.operator.id, as: .operator(olga.id))
      #expect(await code { _ = try await world.service.operators(as: mine) } == .forbidden)
      #expect(try await world.service.operators(as: .operator(olga.id)).map(\.state) == [.suspended, .active])
    }
  }
}
