/// Everything that can be allowed or refused. Closed: a new act gets a new case and a line in the policy table.
public enum Permission: String, Sendable, CaseIterable, Codable {
  case read
  case orgCreate = "org.create"
  case orgOnboard = "org.onboard"
  case credentialManage = "credential.manage"
  case gateManage = "gate.manage"
  case programmeManage = "programme.manage"
  case instanceCreate = "instance.create"
  case instanceControl = "instance.control"
  case instanceRemove = "instance.remove"
  case instanceLogs = "instance.logs"
  case hostEnrol = "host.enrol"
  case hostDrain = "host.drain"
  case hostRemove = "host.remove"
  case authorityRotate = "authority.rotate"
  case alertManage = "alert.manage"
  case alertSilence = "alert.silence"
  case operatorInvite = "operator.invite"
  case tokenManage = "token.manage"
  case evidenceRead = "evidence.read"
  /// Scanning it, erasing fields, and letting stay what a scan found.
  case evidenceManage = "evidence.manage"
  /// Which acts need two people.
  case approvalManage = "approval.manage"
  /// To be the other person: of an act, or of an emergency.
  case approvalGive = "approval.give"
  case emergencyOpen = "emergency.open"
}

/// What an actor counts as at this moment, as the database says inside the transaction of the act.
public enum Standing: Sendable, Hashable {
  case signedIn(OperatorRole)
  case token(OperatorRole)
  case system
  /// Unknown, suspended, expired or revoked: the text says which.
  case none(String)
}

public enum PolicyDecision: Sendable, Hashable {
  case allowed
  /// The reason is a sentence for people.
  case refused(String)
}

/// Who may do what: a pure function, compared as a whole with a committed table by a test.
public enum Policy {
  public static func decide(_ standing: Standing, _ permission: Permission) -> PolicyDecision {
    switch standing {
    case .none(let reason): .refused(reason)
    case .system: decideForSystem(permission)
    case .signedIn(let role): decide(role, permission)
    case .token(let role): decideForToken(role, permission)
    }
  }

  private static func decide(_ role: OperatorRole, _ permission: Permission) -> PolicyDecision {
    switch (role, permission) {
    case (.owner, _): .allowed
    // A viewer makes tokens for the own use; they have the role of a viewer at most.
    case (.viewer, .read), (.viewer, .evidenceRead), (.viewer, .tokenManage): .allowed
    // Logs can hold what customers wrote, which is not part of looking at the state of the deployment.
    case (.viewer, .instanceLogs): .refused("The role viewer does not read logs: they can hold customers' words.")
    case (.viewer, _): .refused("The role viewer only looks.")
    }
  }

  private static func decideForToken(_ role: OperatorRole, _ permission: Permission) -> PolicyDecision {
    switch permission {
    // Whoever finds a token must not be able to outlive it.
    case .operatorInvite, .tokenManage: .refused("A token cannot make operators or tokens.")
    default: decide(role, permission)
    }
  }

  private static func decideForSystem(_ permission: Permission) -> PolicyDecision {
    switch permission {
    case .tokenManage: .refused("Every token has a person behind it: AW itself makes none.")
    case .approvalGive, .emergencyOpen: .refused("That takes a person, with an API token of their own or signed in.")
    default: .allowed
    }
  }
}
