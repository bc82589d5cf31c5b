import Basics

/// The way of an Org from nothing to verified, as the console walks it: a pure picture of what is there.
struct WizardStep: Sendable, Equatable {
  enum State: String, Sendable {
    case open
    case running
    case done
    case failed
  }

  let title: String
  let state: State
  /// The page where it is done.
  let path: String

  /// - Parameter view: nil when nobody has begun.
  static func all(of org: Slug, _ view: OnboardingView?) -> [WizardStep] {
    let home = "/orgs/\(org)"
    let requirements = view?.requirements ?? []
    let credentials = requirements.filter { $0.kind == .secretRef }
    func said(_ kind: Requirement.Kind) -> State {
      requirements.contains { $0.kind == kind && $0.status.isMet } ? .done : .open
    }
    func all(_ isDone: (Requirement.Status) -> Bool) -> State {
      !credentials.isEmpty && credentials.allSatisfy { isDone($0.status) } ? .done : .open
    }
    let isBad = credentials.contains { $0.status == .invalid || $0.status == .expired }
    let firstBad = credentials.first { !$0.status.isMet }?.id
    let credential = firstBad.map { "\(home)/credentials/\($0)" } ?? "\(home)#credentials"
    return [
      WizardStep(title: "Who speaks for the Org", state: said(.identity), path: "\(home)/onboarding/contact"),
      WizardStep(title: "The Instance", state: said(.instance), path: "\(home)/onboarding/instance"),
      WizardStep(title: "Models and channels", state: said(.surfaces), path: "\(home)/onboarding/surfaces"),
      WizardStep(title: "Credentials", state: all { $0 != .missing }, path: credential),
      WizardStep(title: "Validation", state: isBad ? .failed : all { $0.isMet }, path: credential),
      WizardStep(title: "Provision and first run", state: run(view), path: "\(home)#first-run"),
    ]
  }

  private static func run(_ view: OnboardingView?) -> State {
    guard let view else { return .open }
    let state = view.block?.resumesTo ?? view.state
    if state == .provisioning { return .running }
    if let report = view.report, report.digest == view.digest { return report.passed ? .done : .failed }
    // A block that is neither a hold nor a credential's is the operation's own failure.
    let isHeld = view.hold != nil
    let isCredentials = view.requirements.contains { $0.status == .invalid || $0.status == .expired }
    return view.block != nil && !isHeld && !isCredentials ? .failed : .open
  }
}

/// Who has to do something now, and what.
struct NextAct: Sendable, Equatable {
  let who: String
  let what: String
  /// The page where it is done.
  let path: String

  /// Where something that is missing is put right.
  static func page(of requirement: Requirement, _ org: Slug) -> String {
    switch requirement.kind {
    case .secretRef: "/orgs/\(org)/credentials/\(requirement.id)"
    case .identity, .instance, .surfaces: "/orgs/\(org)/onboarding/\(requirement.id)"
    // These have no form: what is missing says by which command.
    case .baseline, .exception: "/orgs/\(org)#missing"
    }
  }

  /// What is to be done about a requirement, on the page where that is done.
  static func words(_ requirement: Requirement) -> String {
    let title = requirement.title
    return switch (requirement.kind, requirement.status) {
    case (.identity, _): "Say who speaks for the Org."
    case (.instance, _): "Say which Instance it is to have."
    case (.surfaces, _): "Say which models and channels it is to have."
    case (.secretRef, .missing): "Set the \(title), or ask the customer for it."
    case (.secretRef, .invalid): "Put the \(title) right: its page says what is wrong."
    case (.secretRef, _): "Validate the \(title)."
    case (.baseline, _), (.exception, _): requirement.problem?.next ?? title
    }
  }

  static func of(_ org: Slug, _ view: OnboardingView?) -> NextAct {
    let home = "/orgs/\(org)"
    guard let view else {
      return NextAct(who: "operator", what: "Say who speaks for the Org.", path: "\(home)/onboarding/contact")
    }
    func page(_ requirement: Requirement) -> String { Self.page(of: requirement, org) }
    if let block = view.block {
      if view.hold != nil {
        return NextAct(who: block.who.rawValue, what: "Release it when the reason is gone.", path: "\(home)#hold")
      }
      let bad = view.requirements.first { $0.status == .invalid || $0.status == .expired }
      return NextAct(
        who: block.who.rawValue, what: bad.map(words) ?? block.next, path: bad.map(page) ?? "\(home)#first-run")
    }
    // What is missing keeps back more than what is not proven yet.
    let open = view.requirements.filter { !$0.status.isMet }
    if let first = open.first(where: { $0.status == .missing }) ?? open.first {
      return NextAct(who: first.problem?.who.rawValue ?? "operator", what: words(first), path: page(first))
    }
    switch view.state {
    case .provisioning: return NextAct(who: "AW", what: "It provisions the Instance.", path: "\(home)#instances")
    case .verified: return NextAct(who: "nobody", what: "It is verified. See the handoff.", path: "\(home)#handoff")
    default:
      return NextAct(who: "operator", what: "Provision the Instance and make the first run.", path: "\(home)#first-run")
    }
  }
}
