import Basics
import Credentials
import Fleet
import Onboarding
import Store

/// How the credentials of an Org stand, in the words of onboarding: the two rooms know nothing of each other.
enum OnboardingParts {
  /// What people call each surface.
  static let titles = Dictionary(uniqueKeysWithValues: CredentialSurface.allCases.map { ($0.rawValue, $0.title) })

  static func facts(of org: OrgID, _ trust: GateTrust, at now: Timestamp, in tx: Transaction) throws -> [CredentialFact]
  {
    guard let slug = try FleetRecords.org(org, in: tx)?.slug else { return [] }
    return try CredentialsService.standings(of: org, trust, at: now, in: tx).map { fact($0, slug) }
  }

  /// A pure translation.
  static func fact(_ standing: CredentialStanding, _ org: Slug) -> CredentialFact {
    let credential = standing.credential
    let (surface, title) = (credential.surface.rawValue, credential.surface.title)
    let reason = credential.lastValidated?.reason ?? ""
    let validate = "Validate it: 'aw credential validate \(org) \(surface)'."
    let set = "Set another one: 'aw credential set \(org) \(surface)'."
    let (status, problem): (Requirement.Status, Requirement.Problem?) =
      switch standing.status {
      case .present:
        (
          .present,
          .init(
            code: .credentialUnvalidated, "Nobody has validated this version yet.", who: .operator, next: validate)
        )
      case .valid: (.valid, nil)
      case .shapeOnly: (.waived, nil)
      case .invalid:
        (
          .invalid,
          .init(code: .credentialRefused, "The \(title) is not good: \(reason).", who: .contact, next: set)
        )
      case .indeterminate:
        (
          .indeterminate,
          .init(
            code: .credentialUnvalidated, "Nothing is proven: \(reason).", who: .operator, next: validate)
        )
      case .expired:
        (
          .expired,
          .init(
            code: .credentialExpired, "The \(title) was validated too long ago.", who: .operator, next: validate)
        )
      case .gateClosed:
        (
          .invalid,
          .init(
            code: .credentialClassRefused,
            "No gate allows the \(title) of the class \(credential.reference.kind.rawValue) any more.",
            who: .operator, next: "Ask for one: 'aw gate request \(org)'. Or set a fixture.")
        )
      case .frozen:
        (
          .invalid,
          .init(
            code: .credentialFrozen,
            "The \(title) is frozen: the one-time link that brought it was used a second time.", who: .operator,
            next: "Ask anew: 'aw credential request \(org) \(surface)'. Or, when you know who it was: "
              + "'aw credential unfreeze \(org) \(surface)'.")
        )
      case .shared:
        (
          .invalid,
          .init(
            code: .credentialShared,
            "The \(title) belongs to the same identity as that of "
              + standing.sharedWith.map { "'\($0)'" }.joined(separator: ", ") + ".", who: .contact,
            next: "Each Org needs a credential of its own. \(set)")
        )
      }
    return CredentialFact(
      surface: surface, title: title, reference: "\(credential.reference.ref)", status: status,
      problem: problem)
  }
}
