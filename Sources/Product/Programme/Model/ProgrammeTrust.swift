import Basics
import Evidence
import Foundation

/// Whom a deployment trusts in the programme: keys with their roles, and which accounts are the same person's.
public struct ProgrammeTrust: Sendable, Equatable {
  /// A key, the person behind it, and what that person may decide.
  public struct Signer: Sendable, Equatable {
    public let key: EvidenceVerifierKey
    public let person: Slug
    public let roles: Set<ProgrammeRole>

    public init(key: EvidenceVerifierKey, person: Slug, roles: Set<ProgrammeRole>) {
      (self.key, self.person, self.roles) = (key, person, roles)
    }
  }

  /// The name of this deployment, as decisions give it.
  public let deployment: String
  public let signers: [Signer]
  /// By account, in lower case, the person whose it is, where that is not the name of the account.
  let accounts: [String: Slug]

  public init(deployment: String, signers: [Signer] = [], accounts: [String: Slug] = [:]) {
    (self.deployment, self.signers, self.accounts) = (deployment, signers, accounts)
  }

  /// The same for another deployment.
  public func of(_ deployment: String) -> ProgrammeTrust {
    ProgrammeTrust(deployment: deployment, signers: signers, accounts: accounts)
  }

  /// The person behind an account: a login name, or the name of a key.
  public func person(of account: String) -> String {
    let account = account.lowercased()
    return accounts[account]?.text ?? signers.first { $0.key.name.lowercased() == account }?.person.text ?? account
  }

  /// True when two authors are one person, or one run of an agent.
  func isSame(_ one: Author, _ other: Author) -> Bool {
    if let run = one.agent, let otherRun = other.agent, run.id == otherRun.id { return true }
    return person(of: one.account) == person(of: other.account)
  }

  /// The people who may decide a gate, in alphabetical order.
  func people(_ role: ProgrammeRole) -> [Slug] {
    Set(signers.filter { $0.roles.contains(role) }.map(\.person)).sorted()
  }

  /// Reads a file of signers. A line is `ROLE[,ROLE] PERSON KEY`, the key as 'aw gate keygen' prints it, or
  /// `account NAME PERSON` for another account of the same person; `#` begins a comment.
  ///
  /// - Throws: `programmeSigners` with the line that is wrong.
  public init(deployment: String, parsing text: String) throws(AWError) {
    var (signers, accounts): ([Signer], [String: Slug]) = ([], [:])
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
      if words.isEmpty { continue }
      guard words.count == 3, signers.count < ProgrammeLimits.signersMax else { throw Self.malformed(number) }
      if words[0] == "account" {
        guard let person = try? Slug(words[2]), accounts[words[1].lowercased()] == nil else {
          throw Self.malformed(number)
        }
        accounts[words[1].lowercased()] = person
        continue
      }
      let roles = words[0].split(separator: ",").map { ProgrammeRole(rawValue: String($0)) }
      guard let person = try? Slug(words[1]), let key = EvidenceVerifierKey(words[2]), !roles.contains(nil),
        !signers.contains(where: { $0.key.name.lowercased() == key.name.lowercased() })
      else { throw Self.malformed(number) }
      signers.append(Signer(key: key, person: person, roles: Set(roles.compactMap(\.self))))
    }
    self.init(deployment: deployment, signers: signers, accounts: accounts)
  }

  private static func malformed(_ number: Int) -> AWError {
    AWError(
      .programmeSigners, "Line \(number + 1) of the file of signers says nothing that AW understands.",
      next: "Write 'ROLE[,ROLE] PERSON KEY' with the roles "
        + ProgrammeRole.allCases.map(\.rawValue).joined(separator: ", ")
        + " and a key of its own name, or 'account NAME PERSON'.")
  }
}
