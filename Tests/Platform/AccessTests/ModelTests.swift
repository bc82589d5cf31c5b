import Basics
import Foundation
import Testing

@testable import Access

@Suite("Policy, limits and forms as values")
struct ModelTests {
  let start = Timestamp(millisecondsSince1970: 1_000_000)

  @Test("the policy is exactly the committed table")
  func matrix() throws {
    let url = try #require(Bundle.module.url(forResource: "PolicyMatrix", withExtension: "txt"))
    let standings: [(String, Standing)] = [
      ("owner", .signedIn(.owner)), ("viewer", .signedIn(.viewer)), ("owner-token", .token(.owner)),
      ("viewer-token", .token(.viewer)), ("system", .system), ("nobody", .none("No.")),
    ]
    let header = ["permission"] + standings.map(\.0)
    let rows = Permission.allCases.map { permission in
      [permission.rawValue]
        + standings.map { Policy.decide($0.1, permission) == .allowed ? "allowed" : "refused" }
    }
    let committed = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
      .map { $0.split(separator: " ").map(String.init) }
    #expect(committed == [header] + rows)
  }

  @Test(
    "an actor reads back from its text",
    arguments: [
      "user/0195d3a0-0000-7000-8000-000000000000", "token/0195d3a0-0000-7000-8000-000000000000", "system/a/b",
    ]
  )
  func actorText(text: String) { #expect(Actor(text)?.text == text) }

  @Test("what is no actor is none", arguments: ["", "user", "user/", "user/x", "root/1", "system/"])
  func noActor(text: String) { #expect(Actor(text) == nil) }

  @Test("attempts run out, come back one by one, and are forgiven after a success")
  func limiter() {
    var limiter = AttemptLimiter(AttemptLimit(burst: 3, interval: .seconds(60)))
    for _ in 0..<3 { #expect(limiter.take("a", at: start) == nil) }
    #expect(limiter.take("a", at: start) == .seconds(60))
    #expect(limiter.take("b", at: start) == nil)
    #expect(limiter.take("a", at: start.advanced(by: .seconds(59))) == .seconds(1))
    #expect(limiter.take("a", at: start.advanced(by: .seconds(60))) == nil)
    #expect(limiter.take("a", at: start.advanced(by: .seconds(60))) == .seconds(60))
    limiter.forgive("a")
    #expect(limiter.take("a", at: start.advanced(by: .seconds(60))) == nil)
  }

  @Test("the limiter never remembers more keys than its bound")
  func limiterBound() {
    var limiter = AttemptLimiter(AttemptLimit(burst: 1, interval: .seconds(60)))
    for index in 0..<(AttemptLimiter.keysMax + 5) { _ = limiter.take("\(index)", at: start) }
    #expect(limiter.keys == AttemptLimiter.keysMax)
    _ = limiter.take("late", at: start.advanced(by: .seconds(61)))
    #expect(limiter.keys == 1)
  }

  @Test(
    "a session lives while it is used and young",
    arguments: [
      (0, 0, true), (43_199, 0, true), (43_200, 0, false), (604_799, 604_000, true), (604_800, 604_799, false),
    ])
  func sessionLife(age: Int, seen: Int, isLive: Bool) {
    let decision = SessionDecision.decide(
      createdAt: start, seenAt: start.advanced(by: .seconds(seen)), revokedAt: nil,
      at: start.advanced(by: .seconds(age)), limits: .standard)
    #expect((decision == .live) == isLive)
  }

  @Test(
    "weak passwords are refused",
    arguments: ["short", "elevenchars", "annaiscleverrr", "AnnaIsCleverrr", "passwordpassword", "aaaaaaaaaaaaaaa"])
  func weak(text: String) throws {
    #expect(PasswordRule.problem(with: Secret(text), name: try Slug("anna")) != nil)
  }

  @Test("four unrelated words are a password")
  func strong() throws {
    #expect(PasswordRule.problem(with: Secret("lamp orbit tuesday fig"), name: try Slug("anna")) == nil)
  }

  @Test("a stored password reads back with its cost and still matches")
  func passwordHash() throws {
    let made = try PasswordHash.make(Secret("caf\u{E9} lamp orbit"), cost: ScryptCost(ln: 6), salt: .random(count: 16))
    #expect(made.text.hasPrefix("$scrypt$ln=6,r=8,p=1$"))
    let read = try #require(PasswordHash(made.text))
    #expect(read == made)
    #expect(try read.matches(Secret("cafe\u{301} lamp orbit")), "composed and decomposed are one password")
    #expect(try !read.matches(Secret("cafe lamp orbit")))
  }

  @Test("scrypt agrees with RFC 7914, and the standard cost fits its memory bound")
  func scryptVector() throws {
    let made = try PasswordHash.make(
      Secret("pleaseletmein"), cost: ScryptCost(ln: 14), salt: Array("SodiumChloride".utf8))
    #expect(Hex.encode(made.hash) == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
    #expect(throws: Never.self) {
      try PasswordHash.make(Secret("x"), cost: .standard, salt: .random(count: 16))
    }
  }

  @Test(
    "a stored password that asks for too much, or is none, is not read",
    arguments: [
      "", "x", "$scrypt$ln=30,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      "$scrypt$ln=10,r=8,p=1$AAAA$AAAA",
    ])
  func badHash(text: String) { #expect(PasswordHash(text) == nil) }

  @Test("every changed character breaks the checksum of a token")
  func checksum() {
    let token = TokenText.compose([UInt8].random(count: 32))
    #expect(TokenText.isWellFormed(token))
    for index in token.indices {
      var changed = token
      changed.replaceSubrange(index...index, with: token[index] == "x" ? "y" : "x")
      #expect(!TokenText.isWellFormed(changed))
    }
    #expect(!TokenText.isWellFormed(String(token.dropLast())))
  }

  @Test("a token never has more rights than its operator has now")
  func tokenStanding() {
    func standing(_ role: OperatorRole, _ creator: OperatorRole, _ state: OperatorState = .active) -> Standing {
      TokenDecision.standing(
        role: role, expiresAt: start.advanced(by: .seconds(1)), isRevoked: false, creator: creator,
        creatorState: state, at: start)
    }
    #expect(standing(.owner, .owner) == .token(.owner))
    #expect(standing(.owner, .viewer) == .token(.viewer))
    #expect(standing(.viewer, .owner) == .token(.viewer))
    #expect(standing(.owner, .owner, .suspended) != .token(.owner))
  }
}
