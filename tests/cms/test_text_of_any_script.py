"""A text of any script, or of figures, in the middle of octets that are random."""

from __future__ import annotations

import pytest

from cmstream import is_encrypted
from helpers.already import BINARY, cms, mail, noise

CYRILLIC = "Алиса, код от сейфа четыре семь один один. Приходи в порт в полдень."
HEBREW = "אליס היקרה הקוד של הכספת הוא ארבע שבע אחת אחת המפתח מתחת לשטיח ליד הדלת"
THAI = "รหัสของตู้เซฟคือสี่เจ็ดหนึ่งหนึ่งกุญแจอยู่ใต้พรม"
KOREAN = "금고의 비밀번호는 사칠일일 이고 열쇠는 문 앞의 매트 아래에 있으니 꼭 혼자 오세요"
CHINESE = "爱丽丝保险箱的密码是四七一一请带上所有的钱中午到港口来不要告诉任何人鲍勃会在那里等你"


@pytest.mark.parametrize("length", [320, 4096, 70_400])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [CYRILLIC, HEBREW, THAI, KOREAN, CHINESE])
def test_text_of_any_script_in_random_content(text, charset, length) -> None:
    content, octets = noise(length), text.encode(charset)
    for at in (100, 101):
        planted = content[:at] + octets + content[at + len(octets) :]
        assert not is_encrypted(mail(BINARY, cms(content=planted)))


@pytest.mark.parametrize("length", [320, 4096])
@pytest.mark.parametrize("figures", [b"4711 0815 2342 9981 1234", b"+49 30 4711-0815/2342"])
def test_figures_in_random_content(figures, length) -> None:
    content = noise(length)
    planted = content[:99] + figures + content[99 + len(figures) :]
    assert not is_encrypted(mail(BINARY, cms(content=planted)))
