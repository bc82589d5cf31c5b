import Basics
import Crypto
import Foundation

/// Something that stands beside a value in OpenClaw's configuration and is no secret: whose account it is, or where.
/// A value is good or not together with its settings, so they are kept with each version.
public struct CredentialSetting: Sendable {
  /// Its key, beside that of the value: `channels.sms.accountSid`.
  public let name: String
  /// What a person calls it.
  public let title: String
  /// The same at the beginning of a line.
  var label: String { title.prefix(1).uppercased() + title.dropFirst() }
  /// What one looks like.
  public let example: String
  /// What those of fixtures begin with: nobody's. So many digits follow, so that each fixture has its own account.
  let fixturePrefix: String
  let fixtureDigits: Int
  private let isRight: @Sendable (String) -> Bool

  private init(
    _ name: String, _ title: String, example: String, fixturePrefix: String, fixtureDigits: Int,
    isRight: @escaping @Sendable (String) -> Bool
  ) {
    (self.name, self.title, self.example, self.isRight) = (name, title, example, isRight)
    (self.fixturePrefix, self.fixtureDigits) = (fixturePrefix, fixtureDigits)
  }

  /// That of the fixtures of a name.
  func fixture(_ fixture: String) -> String {
    fixturePrefix + SHA256.hex(Array("\(name)/\(fixture)".utf8)).prefix(fixtureDigits)
  }

  /// The settings of a new version.
  ///
  /// - Parameters:
  ///   - given: what somebody entered, by name; what is blank was not entered.
  ///   - fixture: the name of the fixture that is set; nil when it is none.
  ///   - before: the version that is replaced: unless it is a fixture, its settings stay where nothing is given.
  /// - Throws: `usage` for a name that there is not, or one that a fixture is to have; `credentialShape` for what is
  ///   missing or has another form.
  static func settle(
    _ given: [String: String], for surface: CredentialSurface, fixture: String?, before: Credential?
  ) throws(AWError) -> [String: String] {
    let kept = before?.reference.kind == .fixture ? [:] : before?.settings ?? [:]
    let entered = given.mapValues { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.value.isEmpty }
    let known = surface.settings
    if let name = entered.keys.sorted().first(where: { name in !known.contains { $0.name == name } }) {
      let names = known.map(\.name).joined(separator: ", ")
      throw AWError(
        .usage, "There is no setting \(name.quoted) of \(surface.title).",
        next: known.isEmpty ? "It has none: leave it out." : "Those that it has: \(names).")
    }
    if let fixture {
      guard entered.isEmpty else {
        throw AWError(
          .usage, "A fixture of \(surface.title) has settings of its own.",
          next: "Leave out \(entered.keys.sorted().joined(separator: ", ")).")
      }
      return Dictionary(uniqueKeysWithValues: known.map { ($0.name, $0.fixture(fixture)) })
    }
    var settled: [String: String] = [:]
    for setting in known {
      guard let value = entered[setting.name] ?? kept[setting.name] else {
        throw AWError(
          .credentialShape, "The \(setting.title) that belongs to the \(surface.title) is missing.",
          next: "Give it as \(setting.name), such as \(setting.example).")
      }
      guard setting.isRight(value), !value.hasPrefix(setting.fixturePrefix) else {
        throw AWError(
          .credentialShape, "\(value.prefix(60).description.quoted) is no \(setting.title).",
          next: "Give it as \(setting.name), such as \(setting.example).")
      }
      settled[setting.name] = value
    }
    return settled
  }

  fileprivate static let appID = CredentialSetting(
    "appId", "application (client) ID", example: "6f1d0b0e-53c1-4f0e-8a5f-2f0a7c4f0a11",
    fixturePrefix: "00000000-0000-0000-0000-", fixtureDigits: 12, isRight: isUUID)
  fileprivate static let tenantID = CredentialSetting(
    "tenantId", "directory (tenant) ID", example: "9c2e0c9b-1d51-4c0a-9c37-5b0f9d1c7b22",
    fixturePrefix: "00000000-0000-0000-0000-", fixtureDigits: 12, isRight: isUUID)
  fileprivate static let accountSID = CredentialSetting(
    "accountSid", "account SID", example: "AC, then 32 hexadecimal digits",
    fixturePrefix: "AC" + String(repeating: "0", count: 20), fixtureDigits: 12
  ) { $0.wholeMatch(of: /AC[0-9a-f]{32}/) != nil }
  fileprivate static let homeserver = CredentialSetting(
    "homeserver", "address of the homeserver", example: "https://matrix.example.org",
    fixturePrefix: "https://matrix.invalid", fixtureDigits: 0
  ) { text in
    guard let url = URL(string: text), url.scheme == "https", let host = url.host(), !host.isEmpty else { return false }
    // Nothing but the server: what stands behind it is the protocol's own.
    return url.user() == nil && url.password() == nil && url.query() == nil && url.fragment() == nil
      && url.path().isEmpty && text.utf8.count <= 200
  }

  @Sendable private static func isUUID(_ text: String) -> Bool {
    text.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/) != nil
  }
}

extension CredentialSurface {
  /// What belongs to a value of it and is no secret; empty for most.
  public var settings: [CredentialSetting] {
    switch self {
    case .teams: [.appID, .tenantID]
    case .sms: [.accountSID]
    case .matrix: [.homeserver]
    default: []
    }
  }
}
