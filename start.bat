@echo off
rem Make .venv beside this file when it is missing or out of date, and start the program in it: the twin of start.sh,
rem where the reasons stand.
rem
rem   start.bat                the tray icon; flags are handed on to it
rem   start.bat headless       only the proxy, no tray
rem   start.bat demo           the proxy with its built-in upstream: no key, no network
rem   start.bat test           the whole test suite; what follows goes to pytest
rem   start.bat install        adds it to the Start menu; uninstall removes all of it, this .venv too
rem   start.bat check --stream any other command of the program

setlocal EnableExtensions DisableDelayedExpansion
set "root=%~dp0"
set "venv=%root%.venv"
set "stamp=%venv%\start.stamp"
set "lock=%root%.venv.lock"
set "venv_python=%venv%\Scripts\python.exe"
set "PYTHONPATH="
set "PYTHONHOME="

rem Arguments stand unquoted in these lines, for they bring their own quotes; so no such line may lie within brackets.
set args=%*
set "word=%~1"

set "extra=app"
if "%word%"=="test" set "extra=test"

call :look_at_venv
rem Nothing is updated to be removed.
if "%word%%state%"=="uninstallupdate" set "state=fits"
if not "%state%"=="fits" call :install_in_turn
if not "%state%"=="fits" goto failed

if not "%word%"=="test" set "START_COMMAND=start.bat"
if "%word%"=="" goto app
if "%word%"=="-h" goto help
if "%word%"=="--help" goto help
if "%word:~0,1%"=="-" goto app
if "%word%"=="headless" goto headless
if "%word%"=="demo" goto demo
if "%word%"=="test" goto test
if "%word%"=="uninstall" goto uninstall
"%venv_python%" -I -m proxy %args%
exit /b %errorlevel%

:help
"%venv_python%" -I -m proxy --help
exit /b %errorlevel%

:headless
set rest=%args:*headless=%
"%venv_python%" -I -m proxy serve%rest%
exit /b %errorlevel%

:demo
set rest=%args:*demo=%
"%venv_python%" -I -m proxy serve --demo%rest%
exit /b %errorlevel%

:test
set rest=%args:*test=%
pushd "%root%"
"%venv_python%" -m pytest%rest%
exit /b %errorlevel%

rem Nobody can remove a program that runs, so it leaves word that its packages are to go once it has ended.
:uninstall
"%venv_python%" -I -m proxy %args%
set "answer=%errorlevel%"
if exist "%venv%\start.remove" rmdir /s /q "%venv%"
exit /b %answer%

:app
if not exist "%root%tray_app\__main__.py" goto app_without_tray
rem A program without a console can answer this only to nobody.
if "%word%"=="--version" goto app_in_console
start "" "%venv%\Scripts\pythonw.exe" -I -m tray_app %args%
exit /b

:app_in_console
"%venv_python%" -I -m tray_app %args%
exit /b %errorlevel%

:app_without_tray
"%venv_python%" -I -m proxy serve %args%
exit /b %errorlevel%

rem A double-click opened this window, and it would close before anyone could read what went wrong.
:failed
if defined CI exit /b 1
set "started_by=%cmdcmdline:"=%"
echo "%started_by%" | find /i " /c " >nul
if not errorlevel 1 pause
exit /b 1

rem --- does .venv fit? ------------------------------------------------------------------------------------------------

rem Sets state: fits, update (a sound .venv of another version of this project) or rebuild. The stamp's first line says
rem which Python and which place the .venv is for, the second what was installed.
:look_at_venv
set "state=rebuild"
set "key=import sys, zlib; place = ascii((sys.version_info[:2], sys.argv[1].lower())); sums = ascii([zlib.crc32(open(name, 'rb').read()) for name in sys.argv[2:]])"
set what="%stamp%" "%root%pyproject.toml" "%root%requirements.lock" "%root%requirements-test.lock"
if not exist "%stamp%" exit /b
if not exist "%venv_python%" exit /b
"%venv_python%" -I -S -c "%key%; had = open(sys.argv[1]).read().split('\n'); sys.exit(0 if had == [place, sums] else 3 if had[0] == place else 4)" %what% 2>nul
set "answer=%errorlevel%"
if "%answer%"=="3" set "state=update"
if "%answer%"=="0" set "state=fits"
if not "%state%"=="rebuild" if exist "%venv%\start.test" exit /b
if "%state%%extra%"=="fitstest" set "state=update"
exit /b

rem --- find a Python --------------------------------------------------------------------------------------------------

rem Sets base, or says what is wrong and leaves it unset.
:find_python
set "base="
set "old="
set "probe=import os, sys, venv, ensurepip; own = os.path.normcase(sys.prefix) == os.path.normcase(sys.argv[1]); sys.exit(3 if sys.version_info < (3, 10) else 4 if own else 0)"
if defined PYTHON call :try_python "%PYTHON%"
if not defined base call :try_python py -3
if not defined base call :try_python python
if not defined base call :try_python python3
for %%v in (3.13 3.12 3.11 3.10 3.14) do if not defined base call :try_python py -%%v
if defined base exit /b
set "here=no Python was found"
if defined old set "here=here is only an older one"
echo start.bat: Python 3.10 or newer is needed, and %here%; get it from https://www.python.org/downloads/ 1>&2
exit /b

:try_python
%* -I -c "%probe%" "%venv%" >nul 2>nul
set "answer=%errorlevel%"
if "%answer%"=="0" set base=%*
if "%answer%"=="3" set "old=yes"
exit /b

rem --- install --------------------------------------------------------------------------------------------------------

rem One installation at a time: no second window can open the lock file for writing while the first one holds it as its
rem descriptor 8, and Windows lets go of it when that window ends, however it ends.
:install_in_turn
set "told="
set "knocks=0"
:knock
set "turn=no"
9>&2 2>nul (call :install_with_messages 8>>"%lock%" )
if "%turn%"=="yes" goto end_of_turn
if not exist "%lock%" goto not_writable
rem No installation holds a file that is read-only or another user's, and nobody would ever let go of it.
for %%f in ("%lock%") do set "attributes=%%~af"
if not "%attributes:r=%"=="%attributes%" goto lock_stays
if %knocks% geq 900 goto lock_stays
set /a knocks+=1
if not defined told echo start.bat: another start is installing; waiting for it, a quarter of an hour at most 1>&2
set "told=yes"
ping -n 2 127.0.0.1 >nul
goto knock

:end_of_turn
del "%lock%" 2>nul
exit /b

:lock_stays
echo start.bat: cannot write to "%lock%"; if no other start is installing, delete that file and start again 1>&2
exit /b

:not_writable
echo start.bat: cannot write to the folder "%root%" 1>&2
exit /b

:install_with_messages
set "turn=yes"
call :install 2>&9
exit /b

rem Sets state to fits, or says what is wrong and leaves it otherwise.
:install
rem Another start may have done it all while we waited.
call :look_at_venv
if "%state%"=="fits" exit /b
rem Settings that would send the packages elsewhere, or that a complete lock has no use for.
set "PIP_USER=0"
for %%n in (TARGET PREFIX ROOT PYTHON CONSTRAINT REQUIRE_HASHES) do set "PIP_%%n="
set "list=requirements.lock"
if "%extra%"=="test" set "list=requirements-test.lock"
if "%state%"=="update" goto update

call :find_python
if not defined base exit /b
echo Installing (first start only, about half a minute) ...
if exist "%venv%" rmdir /s /q "%venv%"
if exist "%venv%" goto in_use
%base% -I -m venv "%venv%"
if not "%errorlevel%"=="0" goto no_venv
goto packages

:update
echo Updating the installation ...
if exist "%venv%\start.test" set "list=requirements-test.lock"
move /y "%stamp%" "%stamp%.before" >nul
if exist "%stamp%" goto in_use

:packages
set pip="%venv_python%" -I -m pip install --no-input --disable-pip-version-check
%pip% --require-hashes -r "%root%%list%"
if not "%errorlevel%"=="0" goto not_installed
%pip% --no-deps --no-build-isolation -e "%root%."
if not "%errorlevel%"=="0" goto not_installed
if "%list%"=="requirements-test.lock" type nul >"%venv%\start.test"
"%venv_python%" -I -S -c "%key%; open(sys.argv[1], 'w').write(place + '\n' + sums)" %what%
if not "%errorlevel%"=="0" exit /b
if exist "%stamp%.before" del "%stamp%.before"
set "state=fits"
exit /b

:in_use
echo start.bat: cannot write to "%venv%"; quit the program if it is running, and start again 1>&2
exit /b

:no_venv
echo start.bat: Python could not make "%venv%"; what it said stands above 1>&2
exit /b

:not_installed
if exist "%stamp%.before" move /y "%stamp%.before" "%stamp%" >nul
echo start.bat: the installation failed; what pip said stands above. Is the program still running? Then quit it first 1>&2
exit /b
